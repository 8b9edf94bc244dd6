"""Opening what a user typed: a built-in sample, a local folder or file, or a dataset of the Hub."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from datasets import Audio, Dataset, DatasetDict, Image, Value

from hubtl.data import builtin, remote
from hubtl.data.columns import AUDIO_NAMES, IMAGE_NAMES, SOUNDS, SUFFIXES
from hubtl.errors import HubtlError, nearest

READERS = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".json": "json"}
HUB_ID = re.compile(r"(?P<id>[\w.-]+(/[\w.-]+)?)(:(?P<config>[\w.+-]+))?(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class Opened:
    """Splits, and where they came from. ``shown`` holds no private part of a local path."""

    splits: DatasetDict
    shown: str
    hub_id: str | None = None
    config: str | None = None
    revision: str | None = None
    license: str | None = None


def opened(text: str) -> Opened:
    """Open a dataset by what the user typed. Raises HubtlError naming why it cannot be had."""
    if text.startswith("builtin:"):
        return Opened(builtin.load(text), text, license=builtin.LICENSES[text])
    path = Path(text).expanduser()
    if path.exists():
        return Opened(_local(path), path.resolve().name)
    parts = HUB_ID.fullmatch(text)
    if parts is None or text.startswith((".", "/", "~")) or path.suffix in READERS:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        guess = nearest(path.name, siblings)
        raise HubtlError(
            f"there is no file or folder {text}", hint=str(path.parent / guess) if guess else "mind the path"
        )
    name, config = parts.group("id"), parts.group("config")
    splits, revision, license = remote.load(text, name, config, parts.group("revision"))
    return Opened(splits, text, hub_id=name, config=config, revision=revision, license=license)


def _local(path: Path) -> DatasetDict:
    if path.is_file():
        if path.suffix not in READERS:
            raise HubtlError(f"{path.name}: not a kind of file that holds a dataset", hint=", ".join(READERS))
        return _tables({"train": [path]}, path.suffix, path.parent)
    if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
        loaded = datasets.load_from_disk(str(path))
        return loaded if isinstance(loaded, DatasetDict) else DatasetDict(train=loaded)
    files = sorted(p for p in path.rglob("*") if p.suffix in READERS and not p.name.startswith("."))
    tables = [p for p in files if p.suffix == ".parquet"] or [p for p in files if p.stem != "metadata"]
    images = any(p.suffix.lower() in SUFFIXES for p in path.rglob("*"))
    tables = tables if tables or images else files  # of recordings, which their metadata name
    if tables and not images:
        suffix = tables[0].suffix
        by_split: dict[str, list[Path]] = {}
        for file in (p for p in tables if p.suffix == suffix):
            by_split.setdefault(_split_name(file, path), []).append(file)
        return _tables(by_split, suffix, path)
    if not images:
        raise HubtlError(
            f"{path.name} holds neither images nor tables", hint="an image folder has a sub-folder for each class"
        )
    try:
        found: Any = datasets.load_dataset("imagefolder", data_dir=str(path.resolve()))
    except Exception as error:
        raise HubtlError(
            f"{path.name} is not an image folder: {' '.join(str(error).split())[:200]}",
            hint="FOLDER/CLASS/IMAGE, or FOLDER/train/CLASS/IMAGE",
        ) from error
    return DatasetDict({name: _with_sounds(part) for name, part in found.items()})


def _with_sounds(dataset: Dataset) -> Dataset:
    """Recordings that an image folder's metadata name: beside the images, and called images there at best."""
    for name, feature in dataset.features.items():
        if isinstance(feature, Image) and Path(_first_path(dataset, name)).suffix.lower() in SOUNDS:
            dataset = dataset.cast_column(name, Audio(decode=False))
        elif isinstance(feature, Value) and "image" in dataset.features:
            dataset = _as_files(dataset, name, [Path(_first_path(dataset, "image")).parent])
    return dataset


def _first_path(dataset: Dataset, column: str) -> str:
    cells = dataset.select_columns([column]).cast_column(column, Image(decode=False))
    return next((cell["path"] for cell in cells[column] if cell and cell["path"]), "")


def _split_name(file: Path, root: Path) -> str:
    """``train-00000-of-00001.parquet``, ``train.parquet`` and ``train/0.parquet`` are all of the split train."""
    parts = [part.lower() for part in (*file.relative_to(root).parts[:-1], re.split(r"[-_.]", file.stem)[0])]
    known = {
        "train": "train",
        "training": "train",
        "test": "test",
        "validation": "validation",
        "val": "validation",
        "valid": "validation",
        "dev": "validation",
        "metadata": "train",
    }
    return next((known[part] for part in parts if part in known), parts[-1] if len(parts[-1]) > 1 else "train")


def _tables(files: dict[str, list[Path]], suffix: str, root: Path) -> DatasetDict:
    options = {"sep": "\t"} if suffix == ".tsv" else {}
    names = {split: [str(p.resolve()) for p in paths] for split, paths in files.items()}
    try:
        loaded: Any = datasets.load_dataset(READERS[suffix], data_files=names, **options)
    except Exception as error:
        cause = error.__cause__ or error
        first = next(iter(files.values()))[0].name
        raise HubtlError(
            f"{first} does not load: {' '.join(str(cause).split())[:200]}", hint="mend the file"
        ) from error
    return DatasetDict({name: _with_files(part, [files[name][0].parent, root]) for name, part in loaded.items()})


def _with_files(dataset: Dataset, roots: list[Path]) -> Dataset:
    """Cells with names of image and sound files, relative to the table, become images and recordings."""
    for name, feature in dataset.features.items():
        if isinstance(feature, dict) and set(feature) == {"bytes", "path"}:
            dataset = dataset.cast_column(name, Audio(decode=False) if _sounds(name) else Image())
        else:
            dataset = _as_files(dataset, name, roots)
    return dataset


def _as_files(dataset: Dataset, name: str, roots: list[Path]) -> Dataset:
    """A column of file names, told by its name and by how the first of them ends, as images or recordings.

    They are relative to the first of the folders in which there is such a file.
    """
    feature = dataset.features[name]
    pictures = name.lower() in IMAGE_NAMES or "image" in name.lower()
    if not (isinstance(feature, Value) and feature.dtype in ("string", "large_string")):
        return dataset
    if not (pictures or _sounds(name)):
        return dataset
    cells = dataset.select_columns([name])[name][:]
    first = next((cell for cell in cells if cell), "")
    suffix = Path(first).suffix.lower()
    kind = Audio(decode=False) if suffix in SOUNDS else Image() if suffix in SUFFIXES and pictures else None
    if kind is None:
        return dataset
    root = next((root for root in roots if (root / first).is_file()), roots[-1])
    paths = [str(root / cell) if cell else None for cell in cells]
    mark = f"{dataset._fingerprint}-{name}"
    return dataset.remove_columns(name).add_column(name, paths, new_fingerprint=mark).cast_column(name, kind)


def _sounds(name: str) -> bool:
    return name.lower() in AUDIO_NAMES or name.lower().startswith("audio_")
