"""Read files of a Hub dataset by their own names.

``datasets`` reads all shards by the first one's names, and NA as missing.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
from datasets import DatasetDict
from datasets.packaged_modules.csv.csv import Csv, CsvConfig
from datasets.packaged_modules.parquet.parquet import Parquet
from huggingface_hub import HfApi, HfFileSystem, constants
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.hf_file_system import HfFileSystemResolvedRepositoryPath

from hubtl.data import shards, tables
from hubtl.data.names import listed
from hubtl.errors import HubtlError
from hubtl.settings import logger

Files = Mapping[str, Sequence[str]]  # split -> URLs of its files
ASIDE = {"name", "version", "data_dir", "data_files", "description", "features"}  # say nothing of how cells are read


def load(name: str, config: str | None, revision: str) -> DatasetDict:
    """Load a dataset of the Hub at a commit. Each Parquet file keeps its class names, and ``NA`` is text."""
    builder = datasets.load_dataset_builder(name, config, revision=revision)
    builder.download_and_prepare()
    found = builder.as_dataset()
    splits = found if isinstance(found, DatasetDict) else DatasetDict(train=found)
    files: Files = builder.config.data_files or {}
    if any(not url.startswith("hf://datasets/") for urls in files.values() for url in urls):
        return splits
    if isinstance(builder, Parquet) and sum(map(len, files.values())) > 1:
        paths = {split: _paths(urls) for split, urls in files.items()}
        if not _differ([path for own in paths.values() for path in own]):
            return splits
        return DatasetDict(dict(zip(paths, tables.read(list(paths.values())), strict=True)))
    if isinstance(builder, Csv) and _usual(builder.config):
        return _with_words(splits, files)
    return splits


def check(splits: DatasetDict, name: str, commit: str) -> None:
    """Check cached splits of ``datasets`` by the commit's files. These are in the Hub's cache.

    Warns of text columns of CSV files with missing cells.

    Raises:
        HubtlError: where Parquet files name the classes of a column differently.
    """
    kinds = {split.info.builder_name for split in splits.values()}
    columns = sorted({column for split in splits.values() for column in _lacking(split)})
    if "csv" in kinds and columns:
        logger.warning(
            "files      column %s: NA and None are missing here; with the Hub in reach they are read as text",
            listed(columns),
        )
    folder = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=name, repo_type="dataset"), "snapshots", commit)
    if "parquet" in kinds and _differ(sorted(folder.rglob("*.parquet"))):
        raise HubtlError(
            f"the files of {name} number their labels differently, and what is in the cache is read by one file's names",
            hint="try again when the Hub can be reached, or give a folder with the files",
        )


def _differ(paths: Sequence[Path]) -> bool:
    """Return whether Parquet files name a column's labels in different orders."""
    known: dict[str, tuple[str, ...]] = {}
    for path in paths:
        for column, names in shards.numbered_names(path).items():
            if known.setdefault(column, names) != names:
                return True
    return False


def _paths(urls: Sequence[str]) -> list[Path]:
    """Return the files in the Hub's cache. ``datasets`` has put them there."""
    system, found = HfFileSystem(), []
    for url in urls:
        there = system.resolve_path(url)
        assert isinstance(there, HfFileSystemResolvedRepositoryPath), url
        found.append(
            HfApi().hf_hub_download(
                there.repo_id, there.path_in_repo, repo_type=there.repo_type, revision=there.revision
            )
        )
    return [Path(path) for path in found]


def _usual(config: Any) -> bool:
    """Return whether a dataset's card leaves CSV reading at defaults. Separators do not count."""
    usual = CsvConfig()
    others = [f.name for f in dataclasses.fields(CsvConfig) if f.name not in ASIDE | {"sep", "delimiter"}]
    return all(getattr(config, name) == getattr(usual, name) for name in others) and config.sep in (",", "\t")


def _lacking(split: datasets.Dataset) -> list[str]:
    """Return text columns with missing cells."""
    columns = split.data.table
    return [
        n for n in columns.column_names if str(columns[n].type) in ("string", "large_string") and columns[n].null_count
    ]


def _with_words(splits: DatasetDict, files: Files) -> DatasetDict:
    """Read text columns with missing cells by ``delimited``, and keep the others."""
    if not any(_lacking(split) for split in splits.values()):
        return splits
    paths = {split: _paths(urls) for split, urls in files.items()}
    own = dict(zip(paths, tables.read(list(paths.values())), strict=True))
    found = DatasetDict()
    for split, rows in splits.items():
        made = rows
        for column in _lacking(rows):
            mine = own[split]
            if len(mine) == len(rows) and str(getattr(mine.features.get(column), "dtype", "")) == "string":
                mark = f"{made._fingerprint}-{column}-text"
                features = made.features
                made = made.remove_columns(column).add_column(
                    column, mine.with_format(None)[column][:], new_fingerprint=mark, feature=features[column]
                )
                made = made.select_columns(list(features))
        found[split] = made
    return found
