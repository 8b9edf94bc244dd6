"""Open a dataset to inspect: its splits, the columns of its inputs, and its labels by the task that reads them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from datasets import Dataset

from hubtl import plugins
from hubtl.data.cells import Wanted, file_name
from hubtl.data.classic.listed import ALL
from hubtl.data.content import undecoded
from hubtl.data.names import listed
from hubtl.data.opening import opened
from hubtl.data.slices import of_domain, taken
from hubtl.errors import HubtlError, unknown
from hubtl.io import shown
from hubtl.plugins import modalities
from hubtl.record import Outputs
from hubtl.studies.inspection.facts import Row
from hubtl.tasks import Task

JOINED = (ALL, "trainval")  # splits that have the rows of others
ORDER = ("train", "validation", "test")
WORDS = 60  # characters of a text that name its row


@dataclass
class Data:
    """Hold opened splits, the columns of modalities, and labels."""

    shown: str
    splits: dict[str, Dataset]
    columns: dict[str, str]  # modality -> column
    task: Task | None = None
    label_columns: list[str] = field(default_factory=list)
    outputs: Outputs | None = None
    labels: dict[str, np.ndarray] = field(default_factory=dict)  # split -> [n, …], of splits with labels
    notes: list[str] = field(default_factory=list)

    def cell_column(self) -> tuple[str, str] | None:
        """Return the first modality and its column; None without any."""
        return next(iter(self.columns.items()), None)

    def named(self, split: str, row: int) -> str | None:
        """Return a row's label as text; None where it is not one of names."""
        if self.outputs is None or split not in self.labels:
            return None
        label = self.labels[split][row]
        if label.ndim == 0 and label.dtype.kind in "iu":
            return self.outputs.names[label] if 0 <= label < len(self.outputs.names) else None
        if self.task is not None and self.task.several and label.ndim == 1:
            return ", ".join(name for name, there in zip(self.outputs.names, label, strict=True) if there == 1) or None
        return None

    def identified(self, split: str, row: int) -> Row:
        """Return what identifies a row for a person."""
        name = f"row {row}"
        if (found := self.cell_column()) is not None:
            cell = undecoded(self.splits[split].select_columns([found[1]])).with_format(None)[row][found[1]]
            text = cell[:WORDS] if isinstance(cell, str) else file_name(cell)
            name = name if text == "no file name" else shown.line(" ".join(text.split()))
        return Row(split=split, row=row, name=name, label=self.named(split, row))


@dataclass(frozen=True)
class Asked:
    """Hold what the user named: columns by modality, the label column, the task, and the domain column."""

    columns: Mapping[str, str] = field(default_factory=dict)
    label_column: str | None = None
    task: str | None = None
    domain_column: str | None = None


def open_data(text: str, split: str | None, domain: str | None, asked: Asked) -> Data:
    """Open a dataset, or one of its splits or domains.

    Raises:
        HubtlError: for data that do not open, and for columns that were asked for and are not there.
    """
    kinds = tuple(asked.columns) or tuple(one.name for one in modalities.every())
    if asked.task is not None and asked.task not in plugins.entries("tasks"):
        raise unknown("task", asked.task, plugins.entries("tasks"))
    wanted = Wanted(
        *(kinds, asked.columns),
        lenient=True,
        domains=(domain,) if domain and not asked.domain_column else (),
        folder=None if asked.task is None else plugins.load("tasks", asked.task)().folder,
    )
    source = opened(text, wanted)
    names = [split] if split else _own(list(source.splits))
    by = asked.domain_column or source.domain_column
    splits = {
        name: of_domain(taken(source.splits, name, text, "--split"), by, domain, text, "target") for name in names
    }
    splits = {name: rows for name, rows in splits.items() if len(rows)}
    if not splits:
        raise HubtlError(f"{text} has no rows" + (f" in split {split}" if split else ""), hint="--split, or other data")
    first = next(iter(splits.values()))
    data = Data(f"{source.shown} [{domain}]" if domain else source.shown, splits, _columns(first, asked.columns, text))
    if left_out := [] if split else [name for name in source.splits if name not in names]:
        data.notes.append(
            f"left out, since its rows are those of the others: split {listed(left_out)}; --split inspects it"
        )
    _read_labels(data, text, asked.label_column, asked.task, by)
    return data


def _own(names: list[str]) -> list[str]:
    """Return splits in their usual order, without those that join others."""
    own = [name for name in names if name not in JOINED] if "train" in names else names
    return sorted(own, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def _columns(rows: Dataset, asked: Mapping[str, str], where: str) -> dict[str, str]:
    """Return the columns of modalities: those asked for, else of files, else of words."""
    if asked:
        return {name: str(modalities.of(name).column(rows, column, where)) for name, column in asked.items()}
    found: dict[str, str] = {}
    for one in sorted(modalities.every(), key=lambda one: (one.words, one.rank)):
        if one.words and found:
            break
        try:
            column = str(one.column(rows, None, where))
        except HubtlError:
            continue
        if column not in found.values():
            found[one.name] = column
    return found


def _read_labels(data: Data, where: str, asked: str | None, task: str | None, aside: str | None) -> None:
    """Read the labels with the requested task, or the first that fits."""
    first: HubtlError | None = None
    for made in _tasks(task):
        try:
            if _read_by(made.beside(where), data, where, asked, aside):
                return
        except HubtlError as error:
            first = first or error
    if first is not None:
        if asked is not None or task is not None:
            raise first
        data.notes.append(f"labels are not read: {first}")


def _tasks(name: str | None) -> Iterator[Task]:
    usual = ("classification", "multi-label")
    for one in [name] if name else sorted(plugins.entries("tasks"), key=lambda n: (n not in usual, n)):
        made: Task = plugins.load("tasks", one)()
        yield made


def _read_by(task: Task, data: Data, where: str, asked: str | None, aside: str | None) -> bool:
    """Read the labels of all splits with a task; return whether it found any."""
    found: list[str] = []
    for rows in data.splits.values():
        found, passed = task.find(rows, asked, where, aside=aside)
        data.notes += [note for note in passed if note not in data.notes]
        if found:
            break
    if not found:
        return False
    parts = {name: rows for name, rows in data.splits.items() if all(column in rows.features for column in found)}
    read = task.read(list(parts.values()), found, where, list(parts), None)
    known = dict(zip(parts, read.values, strict=True))
    known = {name: values for name, values in known.items() if not task.unlabelled(values).all()}
    if not known:
        return False
    task.outputs = read.outputs
    data.task, data.label_columns, data.outputs, data.labels = task, list(found), read.outputs, known
    data.notes = [note for note in data.notes if not any(f"{column!r}" in note for column in found)]
    data.notes += read.notes
    return True


def groups(data: Data, splits: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """Return the rows of each label, in the order of its names; rows of one group where labels are no names."""
    found: dict[str, list[tuple[str, int]]] = {}
    names = [] if data.outputs is None else data.outputs.names
    for split in splits:
        labels = data.labels.get(split)
        if labels is None or data.task is None:
            found.setdefault("", []).extend((split, row) for row in range(len(data.splits[split])))
        elif labels.ndim == 1 and labels.dtype.kind in "iu":
            for number, name in enumerate(names):
                found.setdefault(name, []).extend((split, int(row)) for row in np.flatnonzero(labels == number))
        elif data.task.several:
            for number, name in enumerate(names):
                found.setdefault(name, []).extend((split, int(row)) for row in np.flatnonzero(labels[:, number] == 1))
        else:
            found.setdefault("", []).extend((split, row) for row in range(len(labels)))
    return {name: rows for name, rows in found.items() if rows}


def cells(rows: Dataset, column: str, chosen: Sequence[int]) -> Iterator[Any]:
    """Yield the undecoded cells of some rows."""
    bare = undecoded(rows.select_columns([column])).with_format(None)
    for row in chosen:
        yield bare[int(row)][column]
