"""Read a folder of domains.

``--source-domain amazon`` is the folder of that name, read as if it were given alone.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, DatasetDict, concatenate_datasets

from hubtl.data import shards
from hubtl.data.cells import Wanted
from hubtl.data.classic.lines import folders_in
from hubtl.data.classic.listfiles import PLACES, lists
from hubtl.data.names import listed, loose
from hubtl.data.values import labelled
from hubtl.errors import HubtlError, nearest
from hubtl.settings import logger

COLUMN = "domain"
DEEP = 2  # levels in which the folder of a domain is looked for


def read(path: Path, wanted: Wanted, opened: Callable[[Path, Wanted], DatasetDict]) -> DatasetDict | None:
    """Read domains as one dataset with a column ``domain``.

    None where no folder is one.

    Args:
        path: the folder.
        wanted: what to read; its ``domains`` are the names.
        opened: reads the folder of one domain.

    Raises:
        HubtlError: for a domain that is missing among others, and for two folders of its name.
    """
    homes = {name: _home(path, name) for name in wanted.domains}
    missing = [name for name, home in homes.items() if home is None]
    if missing:
        place = next((home[0].parent for home in homes.values() if home), path)
        there = [folder.name for folder in folders_in(place)]
        guess = nearest(missing[0], there)
        if len(missing) == len(homes) and guess is None:
            return None
        raise HubtlError(
            f"{path.name} has no folder of the domain {missing[0]!r}; there are {listed(there)}",
            hint=guess or f"one of {listed(there)}",
        )
    parts: dict[str, list[Dataset]] = {}
    alone = replace(wanted, domains=())
    names = list(homes)
    for number, (name, home) in enumerate(homes.items()):
        assert home is not None
        folder, by = home
        logger.info(
            "files      %s: the domain %s is %s", path.name, name, by or f"the folder {os.path.relpath(folder, path)}/"
        )
        splits = opened(folder, alone if by is None else replace(alone, listed=name))
        for split, rows in splits.items():
            kept = rows.rename_column(COLUMN, f"own_{COLUMN}") if COLUMN in rows.features else rows
            cells = pa.array([number] * len(kept), pa.int64())
            mark = f"{kept._fingerprint}-{COLUMN}-{number}-{len(names)}"
            parts.setdefault(split, []).append(
                kept.add_column(COLUMN, cells, new_fingerprint=mark, feature=labelled(names))
            )
    return DatasetDict({split: _joined(own) for split, own in parts.items()})


def _joined(parts: Sequence[Dataset]) -> Dataset:
    return parts[0] if len(parts) == 1 else concatenate_datasets(shards.alike(list(parts)))


def _home(path: Path, name: str) -> tuple[Path, str | None] | None:
    """Return a domain's folder, or its lists.

    Lists come with the folder above and their names. None without either."""
    level, found = [path], list[Path]()
    for _ in range(DEEP):
        inner = [folder for one in level for folder in folders_in(one)]
        found = [folder for folder in inner if folder.name == name]
        found = found or [folder for folder in inner if loose(folder.name) == loose(name)]
        if found:
            break
        level = inner
    if len(found) > 1:
        raise HubtlError(
            f"{path.name} holds several folders called {name}: {listed(str(f.relative_to(path)) for f in found)}",
            hint=f"give the folder above one of them, such as {found[0].parent}",
        )
    if found:
        return found[0], None
    texts = [text for place in ("", *PLACES) for text in lists(path / place) if _is_of(text.stem, name)]
    return (path, listed(os.path.relpath(text, path) for text in texts)) if texts else None


def _is_of(stem: str, name: str) -> bool:
    return any(stem.lower() == name.lower() or stem.lower().startswith(f"{name.lower()}{sign}") for sign in "_-")
