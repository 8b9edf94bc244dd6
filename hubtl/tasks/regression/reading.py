"""Read columns of numbers, and find the rows without a label."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset

from hubtl.data.labels import Labels
from hubtl.data.names import MISSING
from hubtl.data.origin import numbers
from hubtl.errors import HubtlError
from hubtl.record import Outputs
from hubtl.tasks.regression.matching import pairs_of
from hubtl.tasks.regression.words import ranges

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
COMMA = re.compile(r"[-+]?\d+,\d+")
GROUPED = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")
HIDDEN = (-1, -9, -99, -999, -9999, -99999)  # what stands for a label that is kept back
FINE = 0.01  # of the standard deviation: what may be lost in 32 bits
NOISE = 1e-12  # of the largest number: what numbers that are one differ by when they were computed
TEXTS = ("string", "large_string")
LARGEST = float(np.finfo(np.float32).max)


def read(
    parts: Sequence[Dataset],
    columns: Sequence[str],
    where: str,
    called: Sequence[str] = (),
    known: Outputs | None = None,
) -> Labels:
    """Read the label columns of the splits of a domain: float32 [n, k] of each split.

    NaN marks a cell without a label. A cell is a number or a text that is one: ``3.5``, ``-2e3``. It has no label where
    it is empty, None, NaN, or a word such as ``NA``. A split that holds only −1 or −999, below all values of the
    others, hides its labels; so does one below all values ``known`` to the source or the model.

    Args:
        parts: the splits.
        columns: the label columns.
        where: the data set's name, for errors.
        called: names of the splits.
        known: outputs of the other domain or of the model.

    Raises:
        HubtlError: for anything else, for infinity, and for truth values; the message names the row.
    """
    called = called or [f"split {number}" for number in range(1, len(parts) + 1)]
    values, notes = [], []
    for part, split in zip(parts, called, strict=True):
        made = np.full((len(part), len(columns)), np.nan, dtype=np.float32)
        for k, column in enumerate(columns):
            if why := unfit(part, column):
                raise HubtlError(f"{where}, split {split}: column {column!r} holds {why}", hint="--label-column NAME")
            cells = np.array(_column(part, column, f"{where}, split {split}, column {column!r}"), dtype=np.float64)
            made[:, k] = cells
            _refuse_coarse(cells, made[:, k], f"{where}, split {split}: column {column!r}")
        values.append(made)
    least = _least(known, columns)
    for k, column in enumerate(columns):
        for place in _hidden([made[:, k] for made in values], least.get(column)):
            told = f"column {column!r} is {np.nanmin(values[place][:, k]):g} in all rows of split {called[place]}"
            notes.append(f"{told}: read as no label")
            values[place][:, k] = np.nan
    every = np.concatenate(values)
    spans = [column[np.isfinite(column)] for column in every.T]
    details = {"range": [[float(span.min()), float(span.max())] for span in spans]} if all(map(len, spans)) else {}
    return Labels(Outputs(names=list(columns), details=details), values, notes)


def _least(known: Outputs | None, columns: Sequence[str]) -> dict[str, float]:
    """Return each column's smallest known number. It is from the source or the model's labels."""
    if known is None:
        return {}
    low = {name: ends[0] for name, ends in zip(known.names, ranges(known), strict=False)}
    pairs = pairs_of(known.names, columns)
    return {theirs: low[ours] for theirs, ours in pairs.items() if ours in low}


def _hidden(splits: Sequence[np.ndarray], elsewhere: float | None) -> list[int]:
    """Return the splits that hide their labels of a column.

    They hold one value only, a usual mark for none, below all others' values.
    """
    known = [column[np.isfinite(column)] for column in splits]
    one = [len(set(column.tolist())) == 1 and column[0] in HIDDEN for column in known]
    told = [column for column, alone in zip(known, one, strict=True) if len(column) and not alone]
    lows = [float(column.min()) for column in told] + ([] if elsewhere is None else [elsewhere])
    if not lows:
        return []
    least = min(0.0, *lows)
    return [n for n, alone in enumerate(one) if alone and known[n][0] < least and (known[n][0] != -1 or least == 0)]


def _refuse_coarse(cells: np.ndarray, kept: np.ndarray, what: str) -> None:
    """Raise HubtlError for large numbers that 32 bits do not resolve. Their differences matter."""
    known = np.isfinite(cells)
    if not known.any() or np.abs(cells - kept)[known].max() <= FINE * cells[known].std():
        return
    if np.ptp(cells[known]) > NOISE * np.abs(cells[known]).max():
        raise HubtlError(
            f"{what} has numbers from {cells[known].min():.17g} to {cells[known].max():.17g}: 32 bits do not hold how "
            "they differ",
            hint="take the same number, such as the least, off all of them",
        )


def number_of(cell: Any) -> float | None:
    """Return the number in a cell, NaN where it is empty; None where it holds something else."""
    if cell is None:
        return math.nan
    if isinstance(cell, bool):
        return None
    if isinstance(cell, str):
        text = cell.strip().replace("−", "-")
        if not text or text in MISSING:
            return math.nan
        return float(text) if NUMBER.fullmatch(text) else math.inf if _infinite(text) else None
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return None


def unfit(dataset: Dataset, column: str) -> str | None:
    """Return why a column cannot hold numbers, or None. The words follow "it holds"."""
    feature: Any = dataset.features[column]
    if isinstance(feature, ClassLabel):
        return "names of classes, not numbers (--task classification)"
    kind = type(feature).__name__
    if kind in ("List", "LargeList", "Sequence") or isinstance(feature, list):
        return "lists: give each number a column of its own"
    if kind == "Json":
        return None  # cells of several types: each is read by itself
    if kind != "Value":
        return f"values of type {kind}, not numbers"
    if feature.dtype == "bool":
        return "truth values, not numbers (--task classification)"
    if kind_of(feature) or feature.dtype == "null":
        return None
    if feature.dtype not in TEXTS:
        return f"{feature.dtype} values, not numbers"
    cells = [cell for cell in dataset.with_format(None)[column][:] if cell is not None and cell.strip()]
    if cells and all(number_of(cell) is None for cell in cells):
        comma = " with a decimal point" if COMMA.fullmatch(cells[0].strip()) else ""
        return f"texts such as {cells[0][:40]!r}, not numbers{comma}"
    return None


def kind_of(feature: Any) -> str | None:
    """Return ``float`` or ``int`` for a column of plain numbers; None for any other."""
    dtype = getattr(feature, "dtype", None)
    if type(feature).__name__ != "Value" or not isinstance(dtype, str):
        return None
    if dtype.startswith(("float", "double", "decimal")):
        return "float"
    return "int" if dtype.startswith(("int", "uint")) else None


def _column(dataset: Dataset, column: str, where: str) -> list[float]:
    found = []
    for row, cell in enumerate(dataset.with_format(None)[column][:]):
        value = number_of(cell)
        if value is None:
            shown = ascii(cell)[:60]
            raise HubtlError(f"{where}, row {numbers(dataset)[row]}: {shown} is no number", hint=_hint(cell))
        if math.isinf(value) or abs(value) > LARGEST:
            raise HubtlError(
                f"{where}, row {numbers(dataset)[row]}: {cell} is not finite in 32 bits",
                hint="mend that cell, or leave it empty",
            )
        found.append(value)
    return found


def _hint(cell: Any) -> str:
    text = cell.strip() if isinstance(cell, str) else ""
    if GROUPED.fullmatch(text):
        one = f", or {text.replace(',', '.')} where the comma is a decimal one" if COMMA.fullmatch(text) else ""
        return f"write {text.replace(',', '')}{one}"
    if COMMA.fullmatch(text):
        return f"write {text.replace(',', '.')} with a point"
    return "mend that cell, or leave it empty"


def _infinite(text: str) -> bool:
    return text.lower().lstrip("+-") in ("inf", "infinity", "∞")
