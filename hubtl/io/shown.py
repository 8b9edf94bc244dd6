"""Foreign text on a screen or a page: what would steer a terminal, or turn what is read around, is written out."""

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
    """Write foreign text on one line: ``\\n`` for a line break, ``\\u001b`` for an escape. What is printed is shown."""
    return STEERS.sub(lambda found: NAMED.get(found[0]) or _code(found[0]), str(text))


def typed(path: object) -> str:
    """A path as a shell takes it: quoted where it has spaces or signs in it, and never taken for a flag."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def lines(text: str) -> str:
    """The same for text of several lines with tabs. Inside the strings of a JSON document it is another spelling."""
    return STEERS.sub(lambda found: found[0] if found[0] in "\n\t" else _code(found[0]), text)


def bar(text: str) -> str:
    """The same for what a progress bar writes to a terminal, which goes back to the start of its own line."""
    found = PROGRESS.match(text)
    start = found[0] if found else ""
    return start + lines(text[len(start) :])


def stdout() -> Any:
    """Standard output for a writer of styles, who has to escape what is foreign in them."""
    return getattr(sys.stdout, "styled", sys.stdout)


def stderr() -> Any:
    """Standard error for a writer of styles, who has to escape what is foreign in them."""
    return getattr(sys.stderr, "styled", sys.stderr)


def _code(character: str) -> str:
    return f"\\u{ord(character):04x}"
