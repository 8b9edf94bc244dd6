"""Write files atomically, whenever the machine stops."""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PARTIAL = ".partial"  # the end of a name under which a file is written


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes its name once it is complete; an error leaves the old one."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    settle(path.parent)


def write(path: Path, content: str | bytes) -> None:
    """Replace a file's content atomically."""
    with whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def settle(folder: Path) -> None:
    """Flush new names in a folder to the disk. Some systems cannot."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def move(there: Path, here: Path, moved: Callable[[Path], None] = lambda path: None) -> None:
    """Move every file below one folder to another, each atomically. Places below the folder stay the same.

    Both are on one file system.

    Args:
        there: the folder to move from.
        here: the folder to move to.
        moved: called after each file.
    """
    for path in sorted(p for p in there.rglob("*") if p.is_file()):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    for path in sorted(p for p in there.rglob("*") if p.is_file()):
        goal = here / path.relative_to(there)
        goal.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, goal)
        moved(goal)
    for folder in {here, *(p for p in here.iterdir() if p.is_dir())}:
        settle(folder)
