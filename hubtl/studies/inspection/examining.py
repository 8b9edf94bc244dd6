"""Measure the rows of each split: sizes, rows that cannot be read, label counts, and cheap features."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from datasets import Dataset

from hubtl.errors import HubtlError
from hubtl.io.shown import plural
from hubtl.plugins import modalities
from hubtl.studies.inspection.facts import ColumnFacts, SplitFacts, Spread, Unreadable
from hubtl.studies.inspection.opening import Data, cells

LISTED = 20  # rows of each kind that are named
FEW = 6  # different sizes that are counted one by one


@dataclass
class Features:
    """Hold features of rows, for probes: ``rows`` are (split, row) of each."""

    name: str
    rows: list[tuple[str, int]] = field(default_factory=list)
    values: np.ndarray | None = None  # [n, d]


def spread(values: Sequence[float] | np.ndarray) -> Spread:
    """Return least, median and most; few different values are counted."""
    array = np.asarray(values, dtype=np.float64)
    counts = Counter(f"{value:g}" for value in array.tolist())
    few = dict(sorted(counts.items(), key=lambda item: -item[1])) if len(counts) <= FEW else {}
    return Spread(least=float(array.min()), median=float(np.median(array)), most=float(array.max()), values=few)


def chosen(n: int, most: int) -> list[int]:
    """Return at most ``most`` of n rows; 0 for all.

    They are spread over the rows and always the same.
    """
    return (
        list(range(n))
        if most == 0 or n <= most
        else np.unique(np.linspace(0, n - 1, most).round().astype(int)).tolist()
    )


def examine(data: Data, most: int) -> tuple[list[SplitFacts], Features]:
    """Measure at most ``most`` rows of each split.

    Returns:
        Facts of the splits, and cheap features of the first modality.
    """
    found, features, sketches = [], Features("cheap features"), []
    for name, rows in data.splits.items():
        facts = SplitFacts(name=name, rows=len(rows), labelled=0)
        _count_labels(data, facts)
        picked = chosen(len(rows), most)
        facts.examined = len(picked) if data.columns else 0
        for place, (kind, column) in enumerate(data.columns.items()):
            sizes: dict[str, list[float]] = defaultdict(list)
            for row, outcome in _examined(kind, rows, column, picked):
                if isinstance(outcome, str):
                    facts.unreadable_rows += 1
                    if len(facts.unreadable) < LISTED:
                        shown = data.identified(name, row)
                        facts.unreadable.append(Unreadable(**shown.model_dump(), reason=f"{column}: {outcome}"))
                elif outcome is not None:
                    for size, value in outcome[0].items():
                        sizes[size].append(value)
                    if place == 0:
                        features.rows.append((name, row))
                        sketches.append(outcome[1])
            if sizes:
                facts.sizes[kind] = {size: spread(values) for size, values in sizes.items()}
        found.append(facts)
    features.values = np.stack(sketches) if sketches else None
    return found, features


def _examined(
    kind: str, rows: Dataset, column: str, picked: Sequence[int]
) -> "list[tuple[int, tuple[Mapping[str, float], np.ndarray] | str | None]]":
    """Return each row's sizes and sketch, or why it cannot be read."""
    modality, found = modalities.known(kind), list[tuple[int, tuple[Mapping[str, float], np.ndarray] | str | None]]()
    for row, cell in zip(picked, cells(rows, column, picked), strict=True):
        try:
            made = modality.examine(cell)
        except (OSError, ValueError, TypeError, HubtlError) as error:
            found.append((row, " ".join(str(error).split())[:200]))
            continue
        found.append((row, None if made is None else (made.sizes, made.sketch)))
    return found


def _count_labels(data: Data, facts: SplitFacts) -> None:
    labels, task, outputs = data.labels.get(facts.name), data.task, data.outputs
    if labels is None or task is None or outputs is None:
        return
    there = ~task.unlabelled(labels)
    facts.labelled, known = int(there.sum()), labels[there]
    if known.ndim == 1 and known.dtype.kind in "iu":
        facts.counts = {name: int((known == number).sum()) for number, name in enumerate(outputs.names)}
    elif task.several:
        facts.counts = dict(zip(outputs.names, (known == 1).sum(axis=0).tolist(), strict=True))
    elif known.dtype.kind == "f" and known.ndim == 2:
        columns = [column[np.isfinite(column)] for column in known.T]
        pairs = zip(outputs.names, columns, strict=True)
        facts.values = {name: spread(column) for name, column in pairs if len(column)}
    else:
        try:
            facts.counts = task.check_source(known, outputs, facts.name)
            data.notes.append(f"{task.name}: labels are counted by their cells, not by rows")
        except HubtlError as error:
            data.notes.append(str(error))


def column_facts(data: Data) -> list[ColumnFacts]:
    """Return the columns of the first split, and their use."""
    rows = next(iter(data.splits.values()))
    roles = {column: modality for modality, column in data.columns.items()} | dict.fromkeys(data.label_columns, "label")
    return [
        ColumnFacts(name=name, type=_type(feature), read_as=roles.get(name)) for name, feature in rows.features.items()
    ]


def _type(feature: object) -> str:
    inner = getattr(feature, "feature", None)
    if inner is not None:
        return f"{type(feature).__name__} of {_type(inner)}"
    dtype = getattr(feature, "dtype", None)
    names = getattr(feature, "names", None)
    if names is not None:
        return f"{type(feature).__name__} of {plural(len(names), 'name')}"
    return str(dtype) if type(feature).__name__ == "Value" else type(feature).__name__
