"""List every file below a folder: follow links, skip hidden and system files, count unreadable ones."""

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hubtl.data.suffixes import OTHER, TABLE, kind_of
from hubtl.errors import HubtlError

SYSTEM = frozenset(
    {"__macosx", "@eadir", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"}
    | {"lost+found", "__pycache__", "icon\r"}
)
VISITS = 16  # of one folder by links: more are a maze


class File(NamedTuple):
    """Hold a file's path below the folder; ``kind`` is image, audio, table or other."""

    parts: tuple[str, ...]
    kind: str
    size: int
    changed: int  # nanoseconds

    @property
    def shown(self) -> str:
        return "/".join(self.parts)


@dataclass
class Walked:
    """Hold files below a folder in path order, and left-out ones.

    Folders are held, too; each left-out file has its reason.
    """

    root: Path
    files: list[File] = field(default_factory=list)
    folders: list[tuple[str, ...]] = field(default_factory=list)
    unused: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, reason) -> files
    hidden: int = 0
    closed: list[str] = field(default_factory=list)  # folders that cannot be listed, and links to nothing

    def of(self, *kinds: str) -> list[File]:
        return [file for file in self.files if file.kind in kinds]

    def path(self, file: File) -> str:
        return os.path.join(self.root, "/".join(file.parts))


def walk(root: Path) -> Walked:
    """List a folder.

    Raises:
        HubtlError: if it cannot be listed itself.
    """
    found = Walked(root)
    if not _is_text((str(root),)):
        raise HubtlError(f"the name of {str(root)!r} is not UTF-8", hint="rename the folder")
    visits: Counter[tuple[int, int]] = Counter()
    try:
        top = os.stat(root)
        pending = [((), ((top.st_dev, top.st_ino),))]  # type: list[tuple[tuple[str, ...], tuple[tuple[int, int], ...]]]
        with os.scandir(root):
            pass
    except OSError as error:
        raise HubtlError(
            f"{root.name or root} cannot be listed: {error.strerror}", hint="mind its permissions"
        ) from error
    while pending:
        parts, above = pending.pop()
        try:
            with os.scandir(os.path.join(root, *parts)) as listing:
                entries = list(listing)
        except OSError:
            found.closed.append("/".join(parts))
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in SYSTEM:
                found.hidden += 1
                continue
            own = (*parts, entry.name)
            if _is_folder(entry):
                key = _key(entry)
                if key is None or (entry.is_symlink() and (key in above or visits[key] >= VISITS)):
                    found.closed.append("/".join(own))
                else:
                    visits[key] += 1
                    found.folders.append(own)
                    pending.append((own, (*above, key)))
            else:
                _take(found, entry, own)
    found.files.sort(key=lambda file: file.parts)
    found.folders.sort()
    return found


def _take(found: Walked, entry: os.DirEntry[str], parts: tuple[str, ...]) -> None:
    """Add a file, or the reason why it cannot be read."""
    kind = kind_of(entry.name)
    try:
        status = entry.stat()
        reason = "" if stat.S_ISREG(status.st_mode) else "pipes or devices"
    except OSError:
        reason = "broken links" if entry.is_symlink() else "not readable"
    if not reason and kind not in (TABLE, OTHER) and status.st_size == 0:
        reason = "empty"
    if not reason and not _is_text(parts):
        reason = "with a name that is not UTF-8"
    if reason == "broken links" and kind == OTHER:
        found.closed.append("/".join(parts))  # it may have been a class
    elif reason:
        found.unused[kind, reason] += 1
    else:
        found.files.append(File(parts, kind, status.st_size, status.st_mtime_ns))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _key(entry: os.DirEntry[str]) -> tuple[int, int] | None:
    try:
        status = entry.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_text(parts: tuple[str, ...]) -> bool:
    try:
        "/".join(parts).encode()
    except UnicodeEncodeError:
        return False
    return True
