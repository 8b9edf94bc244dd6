"""Match class names of two domains, and show similar names distinctly."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from hubtl.errors import HubtlError

MISSING = (  # what programs write for no value
    *("NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "NaN", "nan", "-NaN", "-nan"),
    *("None", "none", "NONE", "null", "NULL", "Null"),
)
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.0+)?")  # 1, +1 and 1.0, but not 01
DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")
JOINERS = "\u200c\u200d"  # which make one sign of several
SHOWN = 20
# letters of other scripts that look like Latin ones
TWINS = str.maketrans(
    "аеорсухіјѕԁһԛԝАВЕЗКМНОРСТУХІЈЅαονρυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcyxijsdhqwABE3KMHOPCTYXIJSaovpuABEZHIKMNOPTYX"
)


def partners(ours: Sequence[str], theirs: Sequence[str], *, called: str = "source") -> dict[str, str]:
    """Pair the names of two domains: theirs -> ours, one to one.

    Equal names are partners. The rest is paired by Unicode's composed form, then ignoring case, spaces, hyphens and
    underscores within a name, compatible characters, and ``.0`` after a number. Names without a partner are left out.
    Two names of one domain are never equal.

    Args:
        ours: names of one domain.
        theirs: names of the other domain.
        called: the name of the first domain, for errors.

    Raises:
        HubtlError: where a name has two possible partners.
    """
    left, right = list(dict.fromkeys(ours)), list(dict.fromkeys(theirs))
    found: dict[str, str] = {}
    for form in (str, composed, loose):
        mine, yours = _by_form(left, form), _by_form(right, form)
        shared = [key for key in mine if key in yours]
        for key in shared:
            if len(mine[key]) == len(yours[key]) == 1:
                found[yours[key][0]] = mine[key][0]
            elif form is loose:
                raise HubtlError(
                    f"which names mean the same? {called}: {listed(mine[key], exact=True)}; "
                    f"target: {listed(yours[key], exact=True)}",
                    hint="write those that are the same alike in both domains",
                )
        taken = set(found.values())
        left = [name for name in left if name not in taken]
        right = [name for name in right if name not in found]
    return found


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", name)


def loose(name: str) -> str:
    """Return a name without usual differences in spelling. Two domains may differ in them."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).translate(DASHES)
    plain = "".join(c for c in plain if c in JOINERS or unicodedata.category(c) != "Cf").strip().strip("_")
    if WHOLE.fullmatch(plain):
        return str(int(plain.partition(".")[0]))
    return re.sub(r"(?<=[^\W_])[\s_-]+(?=[^\W_])", _joint, plain) or name


def _joint(found: re.Match[str]) -> str:
    """Return the rest of a separator: nothing, but one between two digits, since 1-2 is not 12."""
    text = found.string
    return "_" if text[found.start() - 1].isdigit() and text[found.end()].isdigit() else ""


def resembling(names: Sequence[str]) -> list[list[str]]:
    """Group names of one domain that differ only in spelling."""
    return [group for group in _by_form(names, loose).values() if len(group) > 1]


def listed(names: Iterable[str], *, exact: bool = False, among: Iterable[str] = ()) -> str:
    """List at most 20 names for a message. Names that look alike have escapes.

    Args:
        names: the names.
        exact: always quote and escape.
        among: further names to compare with.
    """
    every = list(names)
    looks = _by_form([*every, *among], look)
    shown = [seen(n, exact=exact or len(looks[look(n)]) > 1) for n in every[:SHOWN]]
    return ", ".join(shown) + (f", … ({len(every)} in all)" if len(every) > SHOWN else "")


def look(name: str) -> str:
    """Return a key of a name's look: equal for names that a reader could not distinguish."""
    plain = unicodedata.normalize("NFKC", name).translate(TWINS).translate(DASHES)
    return " ".join("".join(c for c in plain if unicodedata.category(c) not in ("Cf", "Cc", "Mn")).split())


def seen(name: str, *, exact: bool = False) -> str:
    """Format a name for a message, quoted and possibly escaped.

    It is escaped if it has invisible characters or two scripts.
    """
    scripts = {unicodedata.name(c, "").split(" ")[0] for c in name if c.isalpha()} & {"LATIN", "CYRILLIC", "GREEK"}
    if exact or len(scripts) > 1:
        return ascii(name)
    apart = name != composed(name)
    hidden = [_hidden(name, i) or (apart and unicodedata.combining(c) > 0) for i, c in enumerate(name)]
    if any(hidden):
        return "'" + "".join(ascii(c)[1:-1] if h else c for c, h in zip(name, hidden, strict=True)) + "'"
    return repr(name) if name != " ".join(name.split()) or not name else name


def _hidden(name: str, place: int) -> bool:
    """Return whether a character is invisible; a joiner after a pictograph is part of it."""
    c = name[place]
    if c in JOINERS and place and unicodedata.category(name[place - 1]) in ("So", "Sk", "Mn"):
        return False
    return unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _by_form(names: Iterable[str], form: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        found.setdefault(form(name), []).append(name)
    return found
