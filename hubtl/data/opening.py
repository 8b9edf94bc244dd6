"""Open a dataset by name: a built-in sample, a local folder or file, or a dataset of the Hub."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import datasets
from datasets import DatasetDict

from hubtl.data import builtin, classic, folders, remote, tables
from hubtl.data.cells import Wanted
from hubtl.data.classic import domains, idx
from hubtl.data.classic.lines import is_list
from hubtl.data.names import listed
from hubtl.data.suffixes import TABLES, is_medium
from hubtl.errors import HubtlError, nearest

HUB_ID = re.compile(r"(?P<id>[\w.-]+(/[\w.-]+)?)(:(?P<config>[\w.+-]+))?(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class Opened:
    """Hold splits and their origin; ``shown`` has no private part of a local path."""

    splits: DatasetDict
    shown: str
    hub_id: str | None = None
    config: str | None = None
    revision: str | None = None
    license: str | None = None
    domain_column: str | None = None  # that of folders which are domains


def opened(text: str, wanted: Wanted | None = None) -> Opened:
    """Open a dataset by the text that the user typed.

    Raises:
        HubtlError: with the reason why it cannot be opened.
    """
    if text.startswith("builtin:"):
        return Opened(builtin.load(text), text, license=builtin.LICENSES[text])
    if not text.strip():
        raise HubtlError("no dataset is named", hint="a folder, a table, or user/name of the Hub")
    path = Path(os.path.expanduser(text))
    if os.path.exists(path):
        wanted = wanted or Wanted()
        if path.is_dir() and wanted.domains and (found := domains.read(path, wanted, _local)) is not None:
            return Opened(found, path.resolve().name, domain_column=domains.COLUMN)
        return Opened(_local(path, wanted), path.resolve().name)
    parts = HUB_ID.fullmatch(text)
    if parts is None or text.startswith((".", "/", "~")) or path.suffix.lower() in TABLES:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        guess = nearest(path.name, siblings)
        raise HubtlError(
            f"there is no file or folder {text}", hint=str(path.parent / guess) if guess else "mind the path"
        )
    name, config = parts.group("id"), parts.group("config")
    splits, name, revision, license = remote.load(text, name, config, parts.group("revision"))
    return Opened(splits, text, hub_id=name, config=config, revision=revision, license=license)


def _local(path: Path, wanted: Wanted) -> DatasetDict:
    if path.is_file():
        if is_list(path.name):
            return folders.read_list(path, wanted)
        if idx.is_idx(path.name) and (packed := idx.read(path)) is not None:
            return packed
        if path.suffix.lower() not in TABLES:
            single = is_medium(path.name)
            raise HubtlError(
                f"{path.name}: not a kind of file that holds a dataset",
                hint="give its folder" if single else ", ".join(TABLES),
            )
        return tables.from_files({"train": [path]}, path.parent, wanted)
    if not path.is_dir():
        raise HubtlError(f"{path.name} is neither a file nor a folder", hint="give a folder, or a table")
    if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
        return _saved(path)
    within = [p.parent for name in ("dataset_dict.json", "state.json") for p in sorted(path.glob(f"*/{name}"))]
    if any((p / "dataset_dict.json").exists() or (p / "dataset_info.json").exists() for p in within):
        raise HubtlError(
            f"{path.name} holds folders that save_to_disk wrote: {listed(p.name for p in within)}",
            hint=f"give one of them, {path / within[0].name}, or save the splits together as a DatasetDict",
        )
    own: DatasetDict | None = None if wanted.folder is None else wanted.folder(path, wanted)
    if own is not None:
        return own
    return classic.whole(path, wanted) or folders.read(path, wanted)


def _saved(path: Path) -> DatasetDict:
    try:
        loaded = datasets.load_from_disk(str(path))
    except Exception as error:
        raise HubtlError(
            f"{path.name} does not load: {' '.join(str(error).split())[:200]}", hint="save it again with save_to_disk"
        ) from error
    return loaded if isinstance(loaded, DatasetDict) else DatasetDict(train=loaded)
