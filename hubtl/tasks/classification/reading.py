"""Read a label column: classes, rows without a label, and oddities."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset

from hubtl.data.labels import Labels, apart
from hubtl.data.names import MISSING, listed, resembling
from hubtl.data.origin import numbers
from hubtl.data.values import names_of, value_name
from hubtl.errors import HubtlError
from hubtl.record import Outputs

UNKNOWN = -1  # the code of a row whose class the model does not know
UNLABELLED = -2  # and of a row without a label
SCALARS = (str, int, float)
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.0+)?")  # 1.0 in a column of text, too
MINUS_ONE = re.compile(r"-1(\.0+)?")


def read(
    parts: Sequence[Dataset], column: str, where: str, called: Sequence[str] = (), known: Sequence[str] = ()
) -> Labels:
    """Read a domain's label column in all splits. Each split uses the names of its own feature.

    The values are int64 [n] of each split: the index of a row's class among the names, or ``UNLABELLED``.

    The classes are those of the features, in their order, and the values that occur, sorted (numbers by size). A row
    has no label where its cell is empty, None or NaN. −1 means no label beside names or numbers from 0 on. Beside 1
    alone or other negative numbers it is a class, unless the ``known`` classes of the other domain say otherwise. Words
    such as ``NA`` are names, unless all others are numbers.

    Args:
        parts: the splits.
        column: the label column.
        where: the data set's name, for errors.
        called: names of the splits.
        known: classes of the other domain.

    Raises:
        HubtlError: for a value that is no class of its column; the message names the row.
    """
    called = called or [f"split {number}" for number in range(1, len(parts) + 1)]
    given = list(dict.fromkeys(name for part in parts for name in names_of(part, column) if name.strip()))
    cells = [_cells(part, column, where, split) for part, split in zip(parts, called, strict=True)]
    if given and (plain := [i for i, part in enumerate(parts) if not names_of(part, column)]):
        strange = [name for i in plain for name in dict.fromkeys(cells[i]) if name and name not in given]
        if any(INTEGER.fullmatch(name) and not MINUS_ONE.fullmatch(name) for name in strange):
            raise HubtlError(
                f"{where}: column {column!r} has names in one split, and in split {called[plain[0]]} numbers that are "
                f"none of them ({listed(strange)}): which is which is not known",
                hint="give the column of every split the names of its classes (a ClassLabel feature)",
            )
    met = set(given).union(*(set(own) for own in cells)) - {None}
    marks, notes = _marks({str(name) for name in met}, given, known)
    _refuse_lines(cells, met - set(given), column, where, called)
    whole = all(INTEGER.fullmatch(str(name)) for name in met - marks)
    names = given + sorted(
        {str(n) for n in met - marks} - set(given), key=(lambda n: (_number(n), n)) if whole else str
    )
    place: dict[str | None, int] = {name: i for i, name in enumerate(names)}
    codes = [np.array([place.get(name, UNLABELLED) for name in own], dtype=np.int64) for own in cells]
    met_in = [{names[code] for code in np.unique(own).tolist() if code >= 0} for own in codes]
    notes += apart(met_in, called, where)
    if alike := resembling(names):
        shown = "; ".join(listed(group, exact=True) for group in alike[:5])
        notes.append(f"classes that differ little, kept apart: {shown}" + "; …" * (len(alike) > 5))
    return Labels(Outputs(names=names), codes, notes)


def unfit(dataset: Dataset, column: str) -> str | None:
    """Return why a column cannot hold one class per row, or None. The words follow "it holds"."""
    feature: Any = dataset.features[column]
    if isinstance(feature, ClassLabel):
        return None
    kind = type(feature).__name__
    if kind in ("List", "LargeList", "Sequence") or isinstance(feature, list):
        return "lists: several labels to a row (--task multi-label)"
    if isinstance(feature, dict):
        return f"structs of {listed(feature)}, not one label"
    if kind == "Json":  # of several types; numbers and texts together are names
        strange = [v for v in dataset.with_format(None)[column][:] if v is not None and not isinstance(v, SCALARS)]
        return f"values such as {str(strange[0])[:40]}, not one label" if strange else None
    if kind != "Value":
        return f"values of type {kind}, not labels"
    if feature.dtype.startswith("float"):
        odd = [v for v in dataset.unique(column) if v is not None and not math.isnan(v) and not float(v).is_integer()]
        return f"numbers such as {min(odd):g}: a class is a name or an integer (--task regression)" if odd else None
    if feature.dtype.startswith(("int", "uint", "string", "large_string", "bool", "null")):
        return None
    return f"{feature.dtype} values, not labels"


def _cells(dataset: Dataset, column: str, where: str, split: str) -> list[str | None]:
    values = dataset.with_format(None)[column][:]
    names = names_of(dataset, column)
    if not names:
        known = {value: value_name(value) for value in set(values)}
        return [known[value] for value in values]
    own: dict[Any, str | None] = {i: name if name.strip() else None for i, name in enumerate(names)}
    own |= {None: None, -1: None}
    for row, value in enumerate(values):
        if value not in own:
            raise HubtlError(
                f"{where}, split {split}, column {column!r}, row {numbers(dataset)[row]}: label {value!r} is out of range; "
                f"the classes are {listed(names)}",
                hint="mend that row, or --label-column for another column",
            )
    return [own[value] for value in values]


def _refuse_lines(
    cells: Sequence[Sequence[str | None]], met: set[str | None], column: str, where: str, called: Sequence[str]
) -> None:
    """Raise HubtlError for a class name of several lines.

    A quote that opens in a table and does not close swallows rows.
    """
    broken = {name for name in met if name and len(name.strip().splitlines()) > 1}
    for split, own in zip(called, cells, strict=True):
        row = next((row for row, name in enumerate(own) if name in broken), None) if broken else None
        if row is not None:
            raise HubtlError(
                f"{where}, split {split}, column {column!r}, row {row}: the label {ascii(own[row])[:60]} has several lines",
                hint="close the quote that opens there, or --label-column for another column",
            )


def _marks(met: set[str], given: Iterable[str], known: Sequence[str]) -> tuple[set[str], list[str]]:
    """Return the values that mean no label, and notes on them."""
    marks: set[str] = set()
    notes = []
    words = met & set(MISSING) - set(given)
    rest = met - words
    if words and rest and all(INTEGER.fullmatch(name) for name in rest):
        marks |= words
    elif words:
        notes.append(f"{listed(sorted(words))}: read as the name of a class; leave the cell empty where there is none")
    minus = {name for name in met if MINUS_ONE.fullmatch(name)} - set(given)
    if below := {name for name in met if INTEGER.fullmatch(name) and _number(name) < 0} - minus - set(given):
        notes.append(f"{listed(sorted(below, key=_number))}: read as a class; leave the cell empty where there is none")
    others = met - marks - minus
    if minus:
        whole = {_number(name) for name in others if INTEGER.fullmatch(name)}
        signed = (whole == {1} and len(others) == 1) or any(number < 0 for number in whole)
        counted = bool(known) and all(INTEGER.fullmatch(name) and _number(name) >= 0 for name in known)
        shown = listed(sorted(minus))
        if any(MINUS_ONE.fullmatch(name) for name in known):
            notes.append(f"{shown} is a class, as it is one of the source's or the model's")
        elif counted and signed:
            marks |= minus
            notes.append(f"{shown} is no label, as the classes of the source or the model are {listed(known)}")
        elif signed:
            notes.append(f"{shown} is a class, as it stands beside " + listed(sorted(others, key=len)[:3]))
        else:
            marks |= minus
            notes.append(f"{shown} is no label, as it stands beside " + (listed(sorted(others)[:3]) or "nothing else"))
    return marks, notes


def _number(name: str) -> int:
    return int(name.partition(".")[0])
