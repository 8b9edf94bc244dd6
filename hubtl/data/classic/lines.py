"""Read text files of classic data sets: lists of files with labels, and names of labels."""

import os
import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hubtl.errors import HubtlError
from hubtl.io import plain

LARGEST = 2**28  # bytes; the list of ImageNet's training images has some 50 million
LISTS = frozenset({".txt", ".lst", ".list"})
PROBED = 20  # lines of a list that are tried until one names a file


@dataclass(frozen=True)
class Row:
    """Hold one line of a list: its number, the file's path below the root, and its label."""

    line: int
    parts: tuple[str, ...]
    label: str | None


@dataclass(frozen=True)
class Listing:
    """Hold a list of files as it was read; ``lost`` are lines whose file is missing."""

    shown: str
    rows: list[Row]
    lost: list[tuple[int, str]]


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder, hidden ones left out; none where it cannot be listed."""
    return [path for path in _entries(folder) if os.path.isfile(path)]


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, hidden ones left out; none where it cannot be listed."""
    return [path for path in _entries(folder) if os.path.isdir(path)]


def _entries(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
    except OSError:
        return []


def content(path: Path, shown: str) -> list[str]:
    """Return the lines of a text file. Raises HubtlError for one that cannot be read."""
    try:
        return plain.text_of(path, LARGEST).splitlines()
    except (OSError, ValueError) as error:
        raise HubtlError(f"{shown} cannot be read: {error}", hint="mend the file, or move it out") from error


def listing(
    path: Path, shown: str, bases: Sequence[str], has: Callable[[str], tuple[str, ...] | None]
) -> Listing | None:
    """Read a list of ``path label`` or ``path``; None for a text whose first lines name no file.

    Paths are relative to the first of ``bases`` that has one. Leading folders that are not here are left out: lists
    often keep the absolute paths of another machine.

    Args:
        path: the text file.
        shown: its name in messages.
        bases: folders, as absolute paths.
        has: returns the parts below the root of a file by its absolute path, or None.
    """
    lines = [(number, line.strip()) for number, line in enumerate(content(path, shown), 1) if line.strip()]
    form = _form(lines[:PROBED], bases, has)
    if form is None:
        return None
    base, gone, bare = form
    rows, lost = [], []
    for number, line in lines:
        name, label = (line, None) if bare else parted(line)
        parts = has(_joined(base, name, gone))
        if not bare and label is None:
            raise HubtlError(f"{shown}, line {number}: there is no label after {name[:60]!r}", hint="mend the line")
        if parts is None:
            lost.append((number, name))
        else:
            rows.append(Row(number, parts, label))
    return Listing(shown, rows, lost)


def parted(line: str) -> tuple[str, str | None]:
    """Split a line into its path and its label: at the first tab, else at the last blank or comma."""
    found = re.fullmatch(r"([^\t]+?)\s*\t\s*([^\t]+)", line) or re.fullmatch(r"(.+?)(?:\s*,\s*|\s+)([^\s,]+)", line)
    return (found.group(1).strip("\"'"), found.group(2).strip()) if found else (line, None)


def _form(
    lines: Sequence[tuple[int, str]], bases: Sequence[str], has: Callable[[str], tuple[str, ...] | None]
) -> tuple[str, int, bool] | None:
    """Return the form of a list.

    It is the base of its paths, how many leading folders are left out, and whether lines are paths alone.
    """
    for _, line in lines:
        for bare, name in ((True, line), (False, parted(line)[0])):
            for gone in range(len(_split(name))):
                for base in bases:
                    if has(_joined(base, name, gone)) is not None:
                        return base, gone, bare
    return None


def _split(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


def _joined(base: str, name: str, gone: int) -> str:
    return posixpath.normpath(posixpath.join(base, *_split(name)[gone:]))


def kept(found: Listing, lenient: bool, said: list[str]) -> Listing:
    """Return a list without lines whose file is missing.

    Raises:
        HubtlError: for such a line, unless ``lenient``.
    """
    if found.lost:
        number, name = found.lost[0]
        more = f" ({len(found.lost)} of {len(found.lost) + len(found.rows)} lines name none)" if found.lost[1:] else ""
        problem = f"{found.shown}, line {number}: there is no file {name}{more}"
        if not lenient:
            raise HubtlError(problem, hint="mend the list, or --on-bad-sample skip, or move the list out")
        said.append(f"{problem}: left out")
    return found


def is_list(name: str) -> bool:
    """Return whether a suffix is that of a list."""
    return os.path.splitext(name)[1].lower() in LISTS
