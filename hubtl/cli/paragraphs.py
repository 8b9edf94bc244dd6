"""Wrap docstrings to the width of a terminal. Lists, tables, formulas and code keep their lines."""

import re
import shutil
import textwrap
from collections.abc import Iterator

WIDEST = 120  # characters: longer lines are hard to follow
GLUE = "\x00"  # a space inside inline code, where no line breaks
KEPT = re.compile(r"\s|[-*+•] |\d+[.)] |\||>>> |\S.* {3}|[=\-+~ ]+$")  # how a line begins that stands by itself
INLINE = re.compile(r"``.+?``|`[^`]+`", re.DOTALL)


def width() -> int:
    """Return the width of the terminal in characters, at most WIDEST; 80 where there is no terminal."""
    return min(shutil.get_terminal_size().columns, WIDEST)


def wrapped(text: str, columns: int) -> str:
    """Wrap the paragraphs of a docstring.

    Args:
        text: a docstring without the indentation of its source.
        columns: characters in a line. Inline code is broken only where it is longer.

    Returns:
        The same text. Indented lines, items of lists, rows of tables and blocks of code are as they were.
    """
    return "\n".join(_lines(text, columns))


def _lines(text: str, columns: int) -> Iterator[str]:
    plain: list[str] = []
    fenced = False
    for line in text.splitlines():
        fence = line.lstrip().startswith("```")
        if fenced or fence or not line.strip() or KEPT.match(line):
            yield from _filled(plain, columns)
            plain = []
            yield line.rstrip()
        else:
            plain.append(line)
        fenced ^= fence
    yield from _filled(plain, columns)


def _filled(plain: list[str], columns: int) -> list[str]:
    glued = INLINE.sub(lambda code: _glued(code[0], columns), " ".join(plain))
    lines = textwrap.wrap(glued, columns, break_long_words=False, break_on_hyphens=False)
    return [line.replace(GLUE, " ") for line in lines]


def _glued(code: str, columns: int) -> str:
    return code.replace(" ", GLUE) if len(code) < columns else code


def item(head: str, text: str, columns: int) -> str:
    """Return ``head`` and a description. It continues two characters further in."""
    indent = " " * (len(head) - len(head.lstrip()) + 2)
    glued = INLINE.sub(lambda code: _glued(code[0], columns - len(indent)), text)
    lines = textwrap.wrap(
        f"{head}  {glued}", columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(line.replace(GLUE, " ").rstrip() for line in lines)
