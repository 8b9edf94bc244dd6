"""Read sets of classes: 1 where a row has a class, 0 where it has not, NaN where unknown."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset

from hubtl.data.labels import Labels, apart
from hubtl.data.names import MISSING, listed, resembling
from hubtl.data.origin import numbers
from hubtl.data.values import UNKNOWN, cell_names, value_name
from hubtl.errors import HubtlError
from hubtl.record import Outputs
from hubtl.tasks.multilabel.columns import SIGNS, item_of

INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
MINUS_ONE = ("-1", "-1.0", "[-1]", "[-1.0]", "['-1']")
CELLS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}
EMPTY = {word.casefold() for word in MISSING}
WRITTEN = re.compile(r"""\s*[\[({]\s*(["'].*["']\s*|[-\d.,\s]*)[\])}]\s*""", re.DOTALL)  # ['a', "b"], {"a"}, [1, 0]
WORDS = SIGNS
ROW = "mend that row, or --label-column for another column"


def read(
    parts: Sequence[Dataset], columns: Sequence[str], where: str, called: Sequence[str], separator: str | None
) -> Labels:
    """Read the labels of the splits of a domain: float32 [n, c] of each split.

    Several columns are the classes, in their order, of 0 and 1 (or false and true). One column holds lists of names or
    numbers, or text with a ``separator``; its classes are those of a ClassLabel, in their order, and those that occur,
    sorted. A list without a class is a row of negatives, an empty cell one without a label. Lists in a column
    ``COLUMN_unknown`` are classes that are not known. A split that holds only −1,
    or only empty lists where another has classes, hides its labels.

    Args:
        parts: the splits.
        columns: the label columns.
        where: the data set's name, for errors.
        called: names of the splits.
        separator: the text between classes, where a column holds text.

    Raises:
        HubtlError: for a value that is none of these (the message names column and row), and for splits with different
            names of classes.
    """
    if len(columns) > 1:
        own = [
            _hidden(len(part), len(columns))
            if _hides([cell for name in columns for cell in cell_names(part, name)])
            else np.stack([_flags(part, name, where, split) for name in columns], axis=1)
            for part, split in zip(parts, called, strict=True)
        ]
        return Labels(Outputs(names=[name.strip() for name in columns]), own)
    (column,) = columns
    sets = [_sets(part, column, where, split, separator) for part, split in zip(parts, called, strict=True)]
    given = list(dict.fromkeys(name for part in parts for name in _given(part, column)))
    _refuse_unnamed(parts, sets, column, where, called, given)
    notes = _missing(sets, given)
    for rows in sets:
        if not _met([rows]) and _met(sets):  # lists without a class, in every row of this split alone
            rows[:] = [None] * len(rows)
    unclear = [_unclear(part, column, where, split) for part, split in zip(parts, called, strict=True)]
    met = (_met(sets) | _met(unclear)) - set(given)
    whole = all(INTEGER.fullmatch(name) for name in met)
    names = given + sorted(met, key=(lambda name: (int(name), name)) if whole else str)
    place = {name: number for number, name in enumerate(names)}
    values = [_matrix(rows, place) for rows in sets]
    for part, split, matrix, rows in zip(parts, called, values, unclear, strict=True):
        for row, classes in enumerate(rows):
            for name in classes or ():
                if matrix[row, place[name]] == 1:
                    shown = f"{name!r} is in {column!r} too: a row has it, or that is not known"
                    raise _error(part, f"{column}{UNKNOWN}", where, split, row, shown, "leave it in one of the two")
                matrix[row, place[name]] = np.nan
    details = {"separator": separator} if separator else {}
    notes += apart([_met([rows]) for rows in sets], called, where)
    if alike := resembling(names):
        shown = "; ".join(listed(group, exact=True) for group in alike[:5])
        notes.append(f"classes that differ little, kept apart: {shown}" + "; …" * (len(alike) > 5))
    texts = [part for part in parts if item_of(part, column) is None]
    if separator and texts and not any(_has(part, column, separator) for part in texts):
        notes.append(f"no cell of column {column!r} has a {separator!r} in it: each is read as one class")
    empty = sum(cell is None for part in texts for cell in part.with_format(None)[column][:]) if separator else 0
    if empty and met:
        notes.append(
            f"rows with an empty cell in column {column!r}: {empty:,}; which classes these have is not known; a row without any "
            "is an empty text in jsonl or parquet, or 0 in a column of 0 and 1 for each class"
        )
    return Labels(Outputs(names=names, details=details), values, notes)


def _met(sets: Iterable[Sequence[list[str] | None]]) -> set[str]:
    return {name for rows in sets for names in rows if names for name in names}


def _hides(cells: Iterable[Any]) -> bool:
    """Return whether all cells that are not empty hold −1."""
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(str(cell).strip() in MINUS_ONE for cell in known)


def _hidden(rows: int, classes: int) -> np.ndarray:
    return np.full((rows, classes), np.nan, dtype=np.float32)


def _refuse_unnamed(
    parts: Sequence[Dataset],
    sets: Sequence[Sequence[list[str] | None]],
    column: str,
    where: str,
    called: Sequence[str],
    given: Sequence[str],
) -> None:
    """Raise HubtlError for splits with numbers beyond the named ones.

    Some splits name their numbers, and another has others.
    """
    for part, rows, split in zip(parts, sets, called, strict=True):
        strange = [] if _given(part, column) or not given else sorted(_met([rows]) - set(given))
        if any(INTEGER.fullmatch(name) for name in strange):
            raise HubtlError(
                f"{where}: column {column!r} has names in one split, and in split {split} numbers that are none of them "
                f"({listed(strange)}): which is which is not known",
                hint="give the column of every split the names of its classes (a list of ClassLabel)",
            )


def _missing(sets: Sequence[list[list[str] | None]], given: Sequence[str]) -> list[str]:
    """Replace words such as NA by no label in columns of numbers. All other classes have to be numbers; else note them."""
    met = _met(sets) - set(given)
    words = met & set(MISSING)
    rest = met - words
    if not words:
        return []
    if rest and all(INTEGER.fullmatch(name) for name in rest):
        for rows in sets:
            rows[:] = [None if names and len(names) == 1 and names[0] in words else names for names in rows]
        words &= _met(sets)
    said = f"{listed(sorted(words))}: read as the name of a class; leave the cell empty where there is none"
    return [said] if words else []


def _has(part: Dataset, column: str, separator: str) -> bool:
    """Return whether a column of texts has a separator in any cell."""
    return any(isinstance(cell, str) and separator in cell for cell in part.with_format(None)[column][:])


def _matrix(rows: Sequence[list[str] | None], place: dict[str, int]) -> np.ndarray:
    found = np.zeros((len(rows), len(place)), dtype=np.float32)
    for number, names in enumerate(rows):
        if names is None:
            found[number] = np.nan
        else:
            found[number, [place[name] for name in names]] = 1
    return found


def _given(part: Dataset, column: str) -> list[str]:
    item = item_of(part, column)
    return list(item.names) if isinstance(item, ClassLabel) else []


def _flags(part: Dataset, column: str, where: str, split: str) -> np.ndarray:
    """Return a column of 0 and 1 as float32 [n]; NaN where a cell is empty."""
    cells = cell_names(part, column)
    plain = {name: name.strip().casefold() for name in set(cells) if name is not None}
    known = {name: np.nan if text in EMPTY else CELLS.get(text) for name, text in plain.items()}
    if any(value is None for value in known.values()):
        row = next(row for row, name in enumerate(cells) if name is not None and known[name] is None)
        hint = "leave a cell empty where it is not known" if cells[row] == "-1" else ROW
        raise _error(part, column, where, split, row, f"{cells[row]!r} is neither 0 nor 1", hint)
    return np.array([np.nan if name is None else known[name] for name in cells], dtype=np.float32)


def _sets(part: Dataset, column: str, where: str, split: str, separator: str | None) -> list[list[str] | None]:
    """Return the names of each row's classes; None where the cell is empty."""
    names = _given(part, column)
    found: list[list[str] | None] = []
    cells = part.with_format(None)[column][:]
    if _hides(cells):
        return [None] * len(cells)
    for row, cell in enumerate(cells):
        if cell is None or (isinstance(cell, float) and np.isnan(cell)):
            found.append(None)
            continue
        if separator and isinstance(cell, int | float) and not isinstance(cell, bool):
            cell = value_name(cell)  # a column of text in which no row has two
        if isinstance(cell, str) and separator:
            if WRITTEN.fullmatch(cell):
                shown = f"{cell[:40]!r} is a list written as text"
                raise _error(part, column, where, split, row, shown, "keep lists as such, in parquet or jsonl")
            items: list[Any] = [piece.strip() for piece in cell.split(separator)] if cell.strip() else []
        elif isinstance(cell, list):
            items = cell
        else:
            shown = f"{str(cell)[:40]!r} is no list of classes"
            hint = "--set task.separator=comma where it is text to take apart" if isinstance(cell, str) else ROW
            raise _error(part, column, where, split, row, shown, hint)
        own = [_name(item, names) for item in items]
        kinds = {type(item) for item in items}
        if None in own:
            item = items[own.index(None)]
            range_ = f"; the classes are {listed(names)}" if names and isinstance(item, int) else ""
            raise _error(part, column, where, split, row, f"{item!r} is no class{range_}", ROW)
        if len(kinds) > 1:
            odd = next(item for item in items if type(item) is not type(items[0]))
            raise _error(part, column, where, split, row, f"{odd!r} stands beside {items[0]!r}: names or numbers", ROW)
        if len(set(own)) < len(own):
            twice = next(name for name in own if own.count(name) > 1)
            hint = "list each class once"
            if set(own) <= {"0", "1"} and not names:
                hint += "; where the lists are 0 and 1 for each class, give each class a column of its own"
            raise _error(part, column, where, split, row, f"class {twice!r} is listed twice", hint)
        found.append([str(name) for name in own])
    _check_kinds(part, column, where, split)
    return found


def _unclear(part: Dataset, column: str, where: str, split: str) -> list[list[str] | None]:
    """Return each row's unknown classes, from the column ``COLUMN_unknown``."""
    name = f"{column}{UNKNOWN}"
    there = name in part.features and item_of(part, name) is not None
    return _sets(part, name, where, split, None) if there else [None] * len(part)


def _check_kinds(part: Dataset, column: str, where: str, split: str) -> None:
    """Raise HubtlError where some rows list names and others numbers.

    Only untyped columns can hold both.
    """
    if type(part.features[column]).__name__ != "Json":
        return
    first: type | None = None
    for row, cell in enumerate(part.with_format(None)[column][:]):
        for item in cell or []:
            first = first or type(item)
            if type(item) is not first:
                usual = "names" if first is str else "numbers"
                raise _error(part, column, where, split, row, f"{item!r} stands in a column of {usual}", ROW)


def _name(item: Any, names: Sequence[str]) -> str | None:
    """Return the class name of a list's item; None where it has none."""
    if names:
        return names[item] if isinstance(item, int) and 0 <= item < len(names) else None
    if isinstance(item, float) and item.is_integer():
        item = int(item)
    if isinstance(item, bool) or not isinstance(item, str | int) or (isinstance(item, int) and item < 0):
        return None
    return str(item) if str(item).strip() else None


def _error(part: Dataset, column: str, where: str, split: str, row: int, what: str, hint: str) -> HubtlError:
    at = f"{where}, split {split}, column {column!r}, row {numbers(part)[row]}"
    return HubtlError(f"{at}: {what}", hint=hint)
