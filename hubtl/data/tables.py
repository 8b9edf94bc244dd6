"""Read tables as datasets: parquet, csv and json files, whose cells may name image and sound files."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, concatenate_datasets
from datasets.data_files import DataFilesDict, DataFilesList
from datasets.packaged_modules.json.json import Json
from datasets.packaged_modules.parquet.parquet import Parquet

from hubtl.data import delimited, shards
from hubtl.data.cells import Wanted, with_files
from hubtl.data.content import file_digest
from hubtl.data.splits import split_names
from hubtl.data.suffixes import TABLES
from hubtl.errors import HubtlError
from hubtl.settings import logger

BUILDERS: dict[str, Any] = {"json": Json, "parquet": Parquet}


def from_folder(tables: Sequence[Path], root: Path, wanted: Wanted) -> DatasetDict:
    """Read the tables of a folder as splits by their names; of several kinds, the first."""
    kinds = [suffix for suffix in TABLES if any(p.suffix.lower() == suffix for p in tables)]
    chosen = [p for p in tables if p.suffix.lower() == kinds[0]]
    if len(kinds) > 1:
        logger.warning(
            "files      %s: %d %s tables used; left out: %s",
            root.name,
            len(chosen),
            kinds[0],
            ", ".join(f"{sum(p.suffix.lower() == k for p in tables)} {k}" for k in kinds[1:]),
        )
    by_split: dict[str, list[Path]] = {}
    for file, split in split_names(chosen, root).items():
        by_split.setdefault(split, []).append(file)
    return from_files(by_split, root, wanted)


def from_files(files: Mapping[str, Sequence[Path]], root: Path, wanted: Wanted) -> DatasetDict:
    """Read splits of table files; file names in cells are relative to the table, else to ``root``."""
    groups = [
        (split, folder, list(own))
        for split, paths in files.items()
        for folder, own in groupby(sorted(paths), key=lambda path: path.parent)
    ]
    parts: dict[str, list[Dataset]] = {}
    for (split, folder, own), part in zip(groups, read([paths for _, _, paths in groups]), strict=True):
        where = own[0].name if len(own) == 1 else f"split {split}"
        parts.setdefault(split, []).append(with_files(part, [folder.absolute(), root.absolute()], wanted, where))
    made = {}
    for split, pieces in parts.items():
        try:
            made[split] = concatenate_datasets(shards.alike(pieces)) if len(pieces) > 1 else pieces[0]
        except ValueError as error:
            raise HubtlError(
                f"the tables of split {split} in {root.name} have different columns: {_line(error)}",
                hint="give one of them, or mend the other",
            ) from error
    return DatasetDict(made)


def read(groups: Sequence[Sequence[Path]]) -> list[Dataset]:
    """Read groups of table files of one kind; all files decide the types of columns."""
    first = groups[0][0]
    kind = TABLES[first.suffix.lower()]
    try:
        if kind == "csv":
            return delimited.read(groups, "\t" if first.suffix.lower() == ".tsv" else ",")
        if kind == "parquet":
            return shards.read(groups, lambda paths: _built(paths, kind))
        return [_together(paths, kind) for paths in groups]
    except HubtlError:
        raise
    except Exception as error:
        raise HubtlError(
            f"{first.name} does not load: {_line(error.__cause__ or error)}", hint="mend the file"
        ) from error


def _together(paths: Sequence[Path], kind: str) -> Dataset:
    """Read files as one dataset. A file has its own types where the first file's do not fit."""
    try:
        return _built(paths, kind)
    except Exception:
        if len(paths) == 1:
            raise
        return concatenate_datasets(shards.alike([_built([path], kind) for path in paths]))


def _built(paths: Sequence[Path], kind: str) -> Dataset:
    """Read table files by their library; brackets and stars in names are no patterns."""
    names = [str(path.resolve()) for path in paths]
    if chained := [name for name in names if "::" in name]:
        raise HubtlError(f"{chained[0]}: a path with :: in it holds no table", hint="rename the folder or the file")
    known = [(name, file_digest(Path(name)).hex()) for name in names]  # or a cached table would outlive the file
    builder = BUILDERS[kind](data_files=DataFilesDict({"train": DataFilesList(names, known)}))
    builder.download_and_prepare()
    loaded: Dataset = builder.as_dataset(split="train")
    return loaded


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
