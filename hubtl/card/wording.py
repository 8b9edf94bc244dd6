"""Format figures and foreign text for a card: rounded once, escaped once, never blank."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hubtl.io.shown import line as on_one_line
from hubtl.io.shown import lines
from hubtl.io.shown import plural as plural
from hubtl.plugins import modalities
from hubtl.record import Evaluation

NOT_MEASURED = "not measured"


def percent(value: float | None) -> str:
    """Format 0.8731 as ``87.3%``; "not measured" for None and NaN."""
    return NOT_MEASURED if _missing(value) else f"{100 * value:.1f}%"  # type: ignore[operator]


def points(before: float | None, after: float | None) -> str:
    """Format the difference of two shares in percentage points, with its sign: ``+9.2``."""
    if _missing(before) or _missing(after):
        return NOT_MEASURED
    return signed(100 * (after - before))  # type: ignore[operator]


def signed(value: float) -> str:
    """Format one decimal and a sign; a difference that rounds to zero has none."""
    text = f"{abs(value):.1f}"
    return text if text == "0.0" else f"{'+' if value > 0 else '−'}{text}"


def significant(value: float, digits: int = 3) -> str:
    """Format a number with three significant digits: ``0.412``, ``12.3``, ``1,240``."""
    if not math.isfinite(value):
        return NOT_MEASURED
    size = 0 if value == 0 else math.floor(math.log10(abs(value)))
    if abs(value) >= 10**15 or (value and size < -4):
        return f"{value:.{digits - 1}e}".replace("-", "−")
    return f"{value:,.{max(0, digits - 1 - size)}f}".replace("-", "−")


def signed_significant(value: float, of: float) -> str:
    """Format a difference with its sign, rounded like another number. The number is ``of``; the decimals suit its size."""
    size = 0 if of == 0 or not math.isfinite(of) else math.floor(math.log10(abs(of)))
    text = f"{abs(value):,.{max(0, 2 - size)}f}"
    return text if not text.strip("0.,") else f"{'+' if value > 0 else '−'}{text}"


def score(value: float | None) -> str:
    """Format a validator's score with three decimals."""
    return NOT_MEASURED if _missing(value) else f"{value:.3f}".replace("-", "−")


def count(value: int) -> str:
    return f"{value:,}"


def many(noun: str) -> str:
    """Return the plural of a noun: ``classes``, ``outputs``."""
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def unscored(figures: Evaluation | None) -> str:
    """Describe rows that enter no figure: ``6 rows of unknown classes, 3 rows without a label``.

    Empty without any.
    """
    return (
        "" if figures is None else ", ".join(f"{plural(n, 'row')} {which}" for which, n in figures.unscored().items())
    )


def duration(seconds: float) -> str:
    """Format ``4.2 s``, ``3 min 5 s`` or ``2 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def energy(kwh: float) -> str:
    """Format ``1.3 Wh``, or ``2.41 kWh``."""
    return f"{kwh:.2f} kWh" if kwh >= 1 else f"{1000 * kwh:.2g} Wh" if kwh < 0.1 else f"{1000 * kwh:.0f} Wh"


def plain(text: object) -> str:
    """Return foreign text on one line, its control characters escaped."""
    return " ".join(on_one_line(str(text).strip()).split())


def md(text: object) -> str:
    """Escape foreign text so that Markdown shows exactly that text. It fits a table's cell, too."""
    line = plain(text).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = line.replace("://", ":&sol;&sol;")  # a name that looks like an address is no link
    line = re.sub(r"([`*\[\]|~#$])", r"\\\1", line)
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)


def code(text: object) -> str:
    """Format foreign text as inline code. It is escaped where inline code could not hold it."""
    line = plain(text)
    return f"`{line}`" if line and not set(line) & set("`|<>\\") else md(line)


def listing(names: list[str], most: int = 12) -> str:
    """Join names in a sentence; a long list is cut, and says by how much."""
    shown = ", ".join(md(name) for name in names[:most])
    return shown + (f", and {len(names) - most:,} more" if len(names) > most else "")


def fenced(text: str, language: str) -> str:
    """Return a code block with a sufficiently long fence. The fence is longer than any run of backticks in the text.

    It cannot end the generated part.
    """
    text = lines(text.strip("\n").replace("\r\n", "\n")).replace("<!-- hubtl:", "<!-- hubtl :")
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def interval(figures: Evaluation | None) -> tuple[float, float] | None:
    """Return the 95 % interval of the primary metric: Wilson's of a share, else the resampled one."""
    primary = None if figures is None else figures.primary
    if figures is None or primary is None or primary.value is None or _missing(primary.value):
        return None
    return wilson(primary.value, figures.n) if primary.proportion else primary.interval


def wilson(share: float, n: int) -> tuple[float, float] | None:
    """Return Wilson's 95 % interval of a share. It was measured on ``n`` rows."""
    if n < 1:
        return None
    z2 = 1.96**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def between(bounds: tuple[float, float] | None) -> str:
    """Format ``(0.581, 0.642)`` as ``58.1–64.2%``."""
    return NOT_MEASURED if bounds is None else f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}%"


def taken(names: Sequence[str], given: Mapping[str, Any]) -> str | None:
    """Describe the input of a model of one modality; None where the numbers speak for themselves."""
    known = modalities.known(names[0]) if len(names) == 1 else None
    return None if known is None else known.takes(given)


def row_of(names: Sequence[str]) -> tuple[str, str]:
    """Return the name of a model's input, and how it tells: ``image``, ``image shows``."""
    known = modalities.known(names[0]) if len(names) == 1 else None
    return ("row", "row holds") if known is None else (known.noun, known.says)


def _missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
