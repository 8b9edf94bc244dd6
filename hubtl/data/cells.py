"""Columns whose cells name files: they become cells of their modality, relative to their table."""

import os
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from datasets import Dataset, Value

from hubtl.data.suffixes import kind_of
from hubtl.errors import HubtlError
from hubtl.plugins import modalities
from hubtl.settings import logger


@dataclass(frozen=True)
class Wanted:
    """Hold what to read of a dataset: modalities, named columns, and strictness."""

    modalities: tuple[str, ...] = ()
    columns: Mapping[str, str | None] = field(default_factory=dict)
    lenient: bool = False  # a name of no file is left to whoever reads the row
    domains: tuple[str, ...] = ()  # folders of these names are meant, where no column names domains
    listed: str | None = None  # a domain that has lists of its files, and no folder
    folder: Callable[[Path, "Wanted"], Any] | None = (
        None  # reads a folder in a layout of the task's own, or returns None
    )

    def modality(self, column: str) -> str | None:
        """Return the modality for which the user named a column."""
        files = {one.name for one in modalities.media()}
        return next((m for m, name in self.columns.items() if name == column and m in files), None)


@dataclass(frozen=True)
class Names:
    """Hold a column of file names: the path of each row's file, and rows without one."""

    column: str
    kind: str
    cells: Sequence[str | None]
    paths: Sequence[str | None]
    lost: Sequence[int]

    @property
    def hopeless(self) -> bool:
        return len(self.lost) == sum(path is not None for path in self.paths)

    @property
    def problem(self) -> str:
        cell = self.cells[self.lost[0]] or ""
        what = f"{cell} is an address, and files alone are read" if _is_address(cell) else f"there is no file {cell}"
        more = f" ({len(self.lost)} of {len(self.cells)} rows name no file)" if len(self.lost) > 1 else ""
        return f"column {self.column!r}, row {self.lost[0]}: {what}{more}"


def with_files(
    dataset: Dataset, roots: Sequence[Path], wanted: Wanted, where: str, *, had: frozenset[str] = frozenset()
) -> Dataset:
    """Replace names of image and sound files by images and recordings.

    A column has files if the user says so, if its name does and the first cell ends like one, or if the first cell
    names an existing file. With several modalities, a missing file is a missing modality.

    Args:
        dataset: the data set.
        roots: folders that names are relative to.
        wanted: what to read.
        where: the data set's name, for errors.
        had: modalities that another column provides.

    Raises:
        HubtlError: for a missing file; the message names its row.
    """
    found: list[Names] = []
    for name, feature in dataset.features.items():
        if isinstance(feature, dict) and set(feature) == {"bytes", "path"}:
            kind = wanted.modality(name) or _called(name) or modalities.media()[0].name
            dataset = dataset.cast_column(name, modalities.known(kind).feature())
        elif isinstance(feature, Value) and (feature.dtype in ("string", "large_string") or wanted.modality(name)):
            names = _names(dataset, name, roots, wanted.modality(name))
            found += [names] if names is not None else []
    read = {n.kind for n in found if not n.hopeless} | had
    for names in found:
        if names.hopeless and names.kind in read and wanted.modality(names.column) is None:
            continue  # what the files were called elsewhere, beside the column that finds them
        dataset = _renewed(dataset, names)
    for names in found:
        if names.lost and names.kind not in had and _is_read(names, dataset, wanted):
            _lose(names, roots, wanted, where)
    return dataset


def _renewed(dataset: Dataset, names: Names) -> Dataset:
    """Return the dataset with paths in place of names. A table's only column may be replaced, too."""
    mark = f"{dataset._fingerprint}-{zlib.crc32(repr([names.column, names.paths]).encode()):08x}"
    spare = max(dataset.column_names, key=len) + "_"
    dataset = dataset.add_column(spare, list(names.paths), new_fingerprint=mark).remove_columns(names.column)
    return dataset.rename_column(spare, names.column).cast_column(names.column, modalities.known(names.kind).feature())


def _is_read(names: Names, dataset: Dataset, wanted: Wanted) -> bool:
    """Return whether a model of the modality reads this column."""
    if wanted.modalities and names.kind not in wanted.modalities:
        return False
    try:
        found: str = modalities.known(names.kind).column(dataset, wanted.columns.get(names.kind), "")
        return found == names.column
    except HubtlError:
        return False


def _lose(names: Names, roots: Sequence[Path], wanted: Wanted, where: str) -> None:
    if names.hopeless or (not wanted.lenient and len(wanted.modalities) <= 1):
        shown = roots[0].name or str(roots[0])
        raise HubtlError(
            f"{where}: {names.problem}",
            hint=f"names are relative to the table's folder, {shown}/; mend the row, or --on-bad-sample skip",
        )
    logger.warning("files      %s: %s", where, names.problem)


def _names(dataset: Dataset, name: str, roots: Sequence[Path], asked: str | None) -> Names | None:
    """Return a column as names of files; None where it holds something else."""
    cells = dataset.select_columns([name]).with_format(None)[name][:]
    if dataset.features[name].dtype not in ("string", "large_string"):
        if any(isinstance(cell, bytes) for cell in cells):
            return None
        cells = [None if cell is None else str(cell) for cell in cells]
    first = next((cell for cell in cells if cell and cell.strip()), None)
    kind = asked or (kind_of(first) if first else "other")
    if first is None or kind not in {one.name for one in modalities.media()}:
        return None
    if asked is None and (_is_address(first) or not (modalities.known(kind).is_called(name) or _found(first, roots))):
        return None
    paths: list[str | None] = []
    lost = []
    for row, cell in enumerate(cells):
        there = bool(cell and cell.strip())
        path = _found(cell, roots) if there else None
        if there and path is None:
            lost.append(row)
        paths.append(path or (os.path.join(roots[0], cell) if there else None))
    return Names(name, kind, cells, paths, lost)


def _found(cell: str, roots: Sequence[Path]) -> str | None:
    """Return the file that a cell names: relative to the first folder that has it, absolute, or ``file://``."""
    if "\0" in cell:
        return None
    tries = [cell]
    if cell.startswith("file://"):
        tries = [unquote(urlsplit(cell).path)]
    elif "\\" in cell:
        tries.append(cell.replace("\\", "/"))
    paths = (os.path.join(root, name) for name in tries for root in roots)
    return next((path for path in paths if os.path.isfile(path)), None)


def _is_address(cell: str) -> bool:
    return not cell.startswith("file://") and re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", cell) is not None


def _called(column: str) -> str | None:
    """Return the modality whose name a column bears."""
    return next((one.name for one in modalities.media() if one.is_called(column)), None)


def file_name(value: Any) -> str:
    """Name a cell in a message: by its file's name, where it has one."""
    path = value.get("path") if isinstance(value, dict) else value
    return str(path).replace("\\", "/").rsplit("/", 1)[-1] if path else "no file name"
