"""Manage the feature cache: checked, atomic entries that concurrent runs share.

An entry is a folder, named by everything that determines its features, with ``features.npy`` (float32 [n, d]) and
``facts.json``. Nothing here imports torch.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from hubtl.io import plain
from hubtl.settings import cache_dir, logger

FORMAT = 2  # to be raised where the same images are shown otherwise, too
KEY = re.compile(r"[0-9a-f]{32}")
PASSING = (".making-", ".gone-")  # what names of folders on their way in and out begin with
LEFT_AFTER = 3600.0  # seconds; a folder on its way for longer was left by a run that was killed
CHUNK = 2**20  # bytes
THERE = (errno.ENOTEMPTY, errno.EEXIST)  # how a rename says that another run's entry has the name


@dataclass(frozen=True)
class Cached:
    """Hold one entry of the cache; ``facts`` is empty where they cannot be read (a damaged entry)."""

    key: str
    facts: Mapping[str, Any]
    bytes: int
    used: float  # seconds since the epoch


def folder() -> Path:
    return cache_dir() / "features"


def key_of(facts: Mapping[str, Any]) -> str:
    """Return a name for everything that determines the features."""
    text = json.dumps({**facts, "format": FORMAT}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def installed(*packages: str) -> dict[str, str]:
    """Return versions of packages that decode and compute. They are part of a key."""
    found = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def get(key: str, rows: int) -> np.ndarray | None:
    """Return the features of an entry, memory-mapped; None without one or for a damaged one.

    The whole file is read once for its checksum, in pieces. A damaged entry is removed, so that it can be made again; a
    process that has it mapped keeps it.

    Args:
        key: the key of the entry.
        rows: the expected number of rows.
    """
    place = folder() / key
    try:
        facts = plain.object_of(place / "facts.json")
        features: Any = np.load(place / "features.npy", mmap_mode="r", allow_pickle=False)
        good = features.dtype == np.float32 and features.ndim == 2 and len(features) == rows
        if good and features.flags.c_contiguous and facts["crc"] == _checksum(place / "features.npy", features.offset):
            with contextlib.suppress(OSError):  # a cache that may only be read
                os.utime(place / "facts.json")
            return np.asarray(features)
    except (FileNotFoundError, PermissionError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        pass
    logger.warning("the cached features %s are damaged: they are made again", key[:12])
    _remove(place)
    return None


def put(key: str, features: np.ndarray, facts: Mapping[str, Any]) -> None:
    """Store features under a key atomically; an entry that another run has made meanwhile stays.

    A cache that cannot be written, on a full disk for example, costs only time.

    Args:
        key: the key.
        features: features [n, d].
        facts: everything that determines them.
    """
    try:
        folder().mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=PASSING[0], dir=folder()))
        try:
            whole = np.ascontiguousarray(features, dtype=np.float32)
            np.save(made / "features.npy", whole)
            text = json.dumps({**facts, "dtype": "float32", "crc": zlib.crc32(whole.data)}, indent=2)
            (made / "facts.json").write_text(text, encoding="utf-8")
            _take_name(made, folder() / key)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        logger.warning("features are not kept: %s", error)


def entries() -> list[Cached]:
    """Return the entries of the cache, damaged ones too, last used first."""
    found = []
    for path in _places():
        if not KEY.fullmatch(path.name):
            continue
        with contextlib.suppress(OSError):  # another process may be removing it
            size, used, facts = _size(path), path.stat().st_mtime, _facts(path)
            if facts:
                used = (path / "facts.json").stat().st_mtime
            found.append(Cached(path.name, facts, size, used))
    return sorted(found, key=lambda entry: -entry.used)


def clear(keys: Iterable[str] | None = None) -> int:
    """Remove entries, and return the freed bytes.

    Without ``keys`` all entries are removed, and the remains of killed runs. Only entries in the cache's own folder are
    removed; links and their targets are left unchanged. A run that has an entry mapped keeps it.
    """
    if keys is not None:
        return sum(_remove(folder() / key) for key in keys if KEY.fullmatch(key))
    freed = 0
    for path in _places():
        if KEY.fullmatch(path.name) or (path.name.startswith(PASSING) and _left(path)):
            freed += _remove(path)
    return freed


def _take_name(made: Path, place: Path) -> None:
    """Rename a complete entry into its place. Another run's entry there stays."""
    try:
        os.rename(made, place)
    except OSError as error:
        if error.errno not in THERE:
            raise


def _places() -> list[Path]:
    """Return the content of the cache's folder, without links."""
    try:
        return sorted(path for path in folder().iterdir() if not path.is_symlink())
    except OSError:
        return []


def _facts(place: Path) -> dict[str, Any]:
    try:
        return plain.object_of(place / "facts.json")
    except (OSError, ValueError):
        return {}


def _size(path: Path) -> int:
    inside = [path, *path.rglob("*")] if path.is_dir() else [path]
    return sum(p.lstat().st_size for p in inside if not p.is_dir())


def _left(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > LEFT_AFTER
    return False


def _remove(place: Path) -> int:
    """Rename an entry away, then delete it; return the freed bytes, 0 for a link."""
    if place.is_symlink() or not place.exists():
        return 0
    size, gone = 0, None
    try:
        size = _size(place)
        gone = Path(tempfile.mkdtemp(prefix=PASSING[1], dir=place.parent))
        os.rename(place, gone / place.name)
    except OSError:  # another process was faster, or this one may not write
        size = 0
    if gone is not None:
        shutil.rmtree(gone, ignore_errors=True)
    return size if gone is not None and not gone.exists() else 0


def _checksum(path: Path, offset: int) -> int:
    """Return the checksum of a file from ``offset`` on.

    It uses a small buffer: a mapped page would count as memory.
    """
    crc = 0
    with path.open("rb") as file:
        file.seek(offset)
        while piece := file.read(CHUNK):
            crc = zlib.crc32(piece, crc)
    return crc
