"""Show foreign text safely: control and direction characters are escaped."""

import re
import shlex
import sys
from typing import Any

# C0 and C1 controls, line and paragraph separators, marks that turn or hide text, halves of surrogate pairs
STEERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
PROGRESS = re.compile("\r(?!\n)|(?:\n|\x1b\\[A)+$")  # how a progress bar begins a line, and moves between its own


def line(text: object) -> str:
    r"""Return foreign text on one line: ``\n`` for a line break, ``\u001b`` for an escape."""
    return STEERS.sub(lambda found: NAMED.get(found[0]) or _code(found[0]), str(text))


def typed(path: object) -> str:
    """Quote a path for a shell. It never passes for a flag."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def lines(text: str) -> str:
    """Do as ``line``, for text of several lines with tabs.

    Inside the strings of a JSON document the result is another spelling of the same text.
    """
    return STEERS.sub(lambda found: found[0] if found[0] in "\n\t" else _code(found[0]), text)


def bar(text: str) -> str:
    """Do as ``line``, for a progress bar. A bar returns to the start of its own line."""
    found = PROGRESS.match(text)
    start = found[0] if found else ""
    return start + lines(text[len(start) :])


def plural(number: int, noun: str, many: str | None = None) -> str:
    """Return a number with its noun: ``1 row``, ``1,200 rows``, ``3 classes``."""
    several = many or (f"{noun}es" if noun.endswith(("s", "ch")) else f"{noun}s")
    return f"{number:,} {noun if number == 1 else several}"


def stdout() -> Any:
    """Return standard output for a writer of styles, who escapes foreign text."""
    return getattr(sys.stdout, "styled", sys.stdout)


def stderr() -> Any:
    """Return standard error for a writer of styles, who escapes foreign text."""
    return getattr(sys.stderr, "styled", sys.stderr)


def _code(character: str) -> str:
    return f"\\u{ord(character):04x}"
