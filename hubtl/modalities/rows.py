"""A domain's split as rows of one modality or several: read once, labelled or sealed, with masks for what is missing."""

import copy
import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from hubtl.backbones.base import PixelRanges
from hubtl.batch import Batch
from hubtl.data import content
from hubtl.data.origin import numbers
from hubtl.data.rows import Rows
from hubtl.errors import HubtlError
from hubtl.modalities.lengths import shown
from hubtl.modalities.reader import Reader
from hubtl.settings import logger

Arrays = dict[str, np.ndarray]
UNREADABLE = (OSError, ValueError, RuntimeError, SyntaxError)


class ReadRows:
    """Hold the rows of one split under one view, as ``hubtl.data.rows.Rows``.

    A cell that is None, empty, or the name of a file that is not there is a missing modality: its inputs are blank, and
    ``present`` says so. A sealed set (``labels=None``) holds the columns of the modalities alone.

    Args:
        dataset: rows of a ``datasets.Dataset``.
        columns: modality -> its column.
        readers: modality -> what makes arrays of a cell.
        labels: [n] classes, −1 for a class that the model does not know; None seals the set.
        name: for messages.
        augment: rows come under their weak view.
        views: random views to make of each row besides, ``weak`` or ``strong``.
        domains: [n] which of several sources a row is of; None where there is one.
        on_bad_sample: ``error`` stops at a cell that cannot be read, or a row with nothing in it; ``skip`` looks for
            them now and leaves their rows out.
        ranges: black and white of images of floats, or of integers of more than eight bits.
        cache_bytes: arrays are kept in memory up to this size.
    """

    note: str | None = None

    def __init__(
        self,
        dataset: Dataset,
        columns: Mapping[str, str],
        readers: Mapping[str, Reader],
        *,
        labels: np.ndarray | None,
        name: str,
        augment: bool = False,
        views: tuple[str, ...] = (),
        domains: np.ndarray | None = None,
        on_bad_sample: str = "error",
        ranges: PixelRanges = PixelRanges(),
        cache_bytes: int = 2**30,
    ) -> None:
        self._columns, self.ranges = dict(columns), ranges
        self._readers, self._numbers = ranged(readers, ranges), numbers(dataset)
        self._content: dict[str, str] = {}  # modality -> digest of its cells
        self._encoded = content.undecoded(dataset.select_columns(list(dict.fromkeys(columns.values()))))
        self.labels = None if labels is None else np.asarray(labels)
        self.domains, self.name, self.augment, self.views = domains, name, augment, views
        self.bad: list[str] = []
        self.plain: Rows = self
        self._rows = np.arange(len(dataset))
        self._absent: tuple[str, ...] = ()
        self._spoiled: dict[str, int] = {}
        self._kept: dict[str, Arrays] | None = None
        self._there: dict[str, np.ndarray] = {}
        if on_bad_sample == "skip":
            self._skip_unreadable()
        if len(self) == 0:
            raise HubtlError(f"{name} holds no readable row", hint="look at the files, or choose another split")
        arrays, _ = self._read(0)
        size = sum(array.nbytes for own in arrays.values() for array in own.values())
        self.cached = size * len(self) <= cache_bytes

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def fingerprint(self) -> str:
        """Mark these rows of these data, as these readers see them."""
        return self.mark(list(self._columns), [self._absent, self._spoiled, self.augment])

    def check(self) -> None:
        """Read every row now, and keep them where they fit. Raises HubtlError for one that is unreadable."""
        if self.cached:
            self._several(np.array([0]))
            return
        for row in range(len(self)):
            self._read(row)

    def mark(self, modalities: Sequence[str], how: list[Any]) -> str:
        """Mark the content of some modalities' cells, treated in some way."""
        everything = len(self._rows) == len(self._encoded)
        for modality in modalities:
            if modality not in self._content:
                rows = self._encoded if everything else self._encoded.select(self._rows)
                files = self._readers[modality].files
                self._content[modality] = content.digest(rows, [self._columns[modality]], names_files=files)
        text = json.dumps([{m: self._content[m] for m in modalities}, str(self.ranges), how], sort_keys=True)
        return f"{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}-{len(self)}"

    def without(self, modalities: Iterable[str]) -> "ReadRows":
        """Return the same rows as if they lacked some modalities."""
        if self.cached:
            self._several(np.array([0]))  # once, for all that are made of this one
        other = copy.copy(self)
        other._absent = tuple(modalities)
        other.plain = other
        return other

    def corrupted(self, modality: str, severity: int) -> "ReadRows":
        """Return the same rows with one modality spoiled: noise on pixels and sound, words dropped. The same spoiling each time."""
        other = copy.copy(self)
        other._spoiled = {modality: severity}
        other._kept, other._there = None, {}
        other.plain = other
        return other

    def fetch(self, rows: Sequence[int], *, seed: int | None = None, views: Collection[str] | None = None) -> Batch:
        """Return the rows as a batch. Its inputs are those of the readers and ``MODALITY.present`` [b] bool.

        Random views depend on ``seed``, the row and its place in ``rows`` alone; without a seed ``views`` stay empty.
        Of the set's views those in ``views`` are made; None: all.
        Raises HubtlError for a cell that cannot be read, and for a row with nothing in it.
        """
        index = np.asarray(rows, dtype=np.int64)
        arrays, there = self._several(index)
        present = {m: torch.from_numpy(there[m]) for m in self._columns}
        said = {f"{m}.present": mask for m, mask in present.items()}
        own = {}
        if seed is not None:
            wanted = [name for name in self.views if views is None or name in views]
            own = {name: self._view(arrays, index, name, seed) | said for name in wanted}
        shown = self._view(arrays, index, "weak", seed or 0) if self.augment else self._tensors(arrays, index)
        labels = None if self.labels is None else torch.from_numpy(self.labels[index])
        domain = None if self.domains is None else torch.from_numpy(self.domains[index])
        return Batch(shown | said, labels, torch.from_numpy(index), present, own, domain)

    def _tensors(self, arrays: Mapping[str, Arrays], index: np.ndarray) -> dict[str, Tensor]:
        made: dict[str, Tensor] = {}
        for modality in self._columns:
            made |= self.tensors_of(modality, arrays[modality], index)
        return made

    def _view(self, arrays: Mapping[str, Arrays], index: np.ndarray, name: str, seed: int) -> dict[str, Tensor]:
        """Return a random view of each row; of a frozen encoder's tokens some are hidden."""
        made: dict[str, Tensor] = {}
        for modality in self._columns:
            key = zlib.crc32(f"{name}/{modality}".encode())
            draws = [np.random.default_rng([seed, place, int(row), key]) for place, row in enumerate(index)]
            made |= self.view_of(modality, arrays[modality], index, name, draws)
        return made

    def tensors_of(self, modality: str, arrays: Arrays, index: np.ndarray) -> dict[str, Tensor]:
        """Return the model's inputs of one modality of some rows."""
        return self._readers[modality].tensors(arrays)

    def view_of(
        self, modality: str, arrays: Arrays, index: np.ndarray, name: str, draws: Sequence[np.random.Generator]
    ) -> dict[str, Tensor]:
        """Return the same under a random view. Each row has its own random numbers."""
        reader = self._readers[modality]
        seen = [
            reader.view({key: array[row] for key, array in arrays.items()}, name, rng) for row, rng in enumerate(draws)
        ]
        return reader.tensors({key: np.stack([row[key] for row in seen]) for key in arrays})

    def inputs_of(self, modality: str, rows: np.ndarray) -> dict[str, Tensor]:
        """Return some rows' inputs of one modality for the model. They are read anew where they are not kept."""
        arrays, _ = self._several(rows)
        return self._readers[modality].tensors(arrays[modality])

    def _several(self, index: np.ndarray) -> tuple[dict[str, Arrays], dict[str, np.ndarray]]:
        """Return arrays of rows by modality and key. A mask says which rows have which modality."""
        if self.cached:
            if self._kept is None:
                self._kept, self._there = _stack([self._read(row) for row in range(len(self))])
            arrays = {m: {key: array[index] for key, array in own.items()} for m, own in self._kept.items()}
            there = {m: mask[index] for m, mask in self._there.items()}
        else:
            arrays, there = _stack([self._read(int(row)) for row in index])
        for modality in self._absent:
            there[modality] = np.zeros_like(there[modality])
        return arrays, there

    def _read(self, row: int) -> tuple[dict[str, Arrays], dict[str, bool]]:
        position = int(self._rows[row])
        cells = self._encoded[position]
        where = f"{self.name}: row {self._numbers[position]}"
        own = {m: cells[column] for m, column in self._columns.items()}
        arrays, there = read_row(self._readers, own, where)
        for modality, severity in self._spoiled.items():
            rng = np.random.default_rng([severity, position, zlib.crc32(modality.encode())])
            arrays[modality] = self._readers[modality].corrupt(arrays[modality], severity, rng)
        return arrays, there

    def _skip_unreadable(self) -> None:
        good = []
        for row in range(len(self._rows)):
            try:
                self._read(row)
                good.append(row)
            except HubtlError as error:
                self.bad.append(str(error).removeprefix(f"{self.name}: "))
        self._rows = np.asarray(good, dtype=np.int64)
        self.labels = None if self.labels is None else self.labels[self._rows]
        self.domains = None if self.domains is None else self.domains[self._rows]


def read_row(
    readers: Mapping[str, Reader], cells: Mapping[str, Any], where: str
) -> tuple[dict[str, Arrays], dict[str, bool]]:
    """Return one row's arrays by modality, and the modalities that it has.

    Raises HubtlError for a cell that cannot be read, and where nothing is there.
    """
    there = {m: not reader.missing(cells.get(m)) for m, reader in readers.items()}
    if not any(there.values()):
        raise HubtlError(
            f"{where} has nothing in it: {', '.join(readers)} are missing",
            hint="leave the row out, or --on-bad-sample skip",
        )
    arrays = {}
    for modality, reader in readers.items():
        try:
            arrays[modality] = reader.read(cells.get(modality)) if there[modality] else reader.empty()
        except UNREADABLE as error:
            raise HubtlError(
                f"{where}: cannot read its {modality}: {error}", hint="mend or empty the cell, or --on-bad-sample skip"
            ) from error
    return arrays, there


def ranged(readers: Mapping[str, Reader], ranges: PixelRanges) -> dict[str, Reader]:
    """Return the readers, told what the rows are scaled by: of images black and white of more than eight bits."""
    return {name: reader.ranged(ranges) for name, reader in readers.items()} if ranges else dict(readers)


def stacked(readers: Mapping[str, Reader], rows: Sequence[Mapping[str, Arrays]]) -> dict[str, Tensor]:
    """Return the model's tensors of rows that ``read_row`` has read."""
    made: dict[str, Tensor] = {}
    for modality, reader in readers.items():
        own = [row[modality] for row in rows]
        made |= reader.tensors({key: np.stack([arrays[key] for arrays in own]) for key in own[0]})
    return made


def collated(readers: Mapping[str, Reader], rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Return inputs of rows (modality -> cell; a missing key is a missing modality), without any random view."""
    names = ["the row"] if len(rows) == 1 else [f"row {number}" for number in range(len(rows))]
    read = [read_row(readers, row, name) for row, name in zip(rows, names, strict=True)]
    inputs = stacked(readers, [arrays for arrays, _ in read])
    for modality in readers:
        inputs[f"{modality}.present"] = torch.from_numpy(np.array([there[modality] for _, there in read]))
    return inputs


def say_cut(readers: Mapping[str, Reader], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Warn where the end of a cell is not read.

    Returns:
        Whether there is one.
    """
    for modality, reader in readers.items():
        if (spec := getattr(reader, "lengths", None)) is None:
            continue
        most = spec.reads(getattr(reader, "count", 1))
        for cell in (row.get(modality) for row in rows):
            try:
                size = 0.0 if reader.missing(cell) else reader.size(cell)
            except UNREADABLE:
                continue  # said where it is read
            if size > most:
                logger.warning(
                    "%s: %s %s are read, and one input has %s: its end is left out, as that of any other so long",
                    modality,
                    shown(most - spec.slack, spec.unit),
                    spec.unit,
                    shown(size, spec.unit),
                )
                return True
    return False


def _stack(
    rows: Sequence[tuple[dict[str, Arrays], dict[str, bool]]],
) -> tuple[dict[str, Arrays], dict[str, np.ndarray]]:
    first = rows[0][0]
    arrays = {m: {key: np.stack([row[m][key] for row, _ in rows]) for key in own} for m, own in first.items()}
    return arrays, {m: np.array([there[m] for _, there in rows]) for m in first}
