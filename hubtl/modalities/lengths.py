"""Measure cells, and choose how much a model reads at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST = 8  # windows of a row: what is longer is cut


@dataclass(frozen=True)
class Lengths:
    """Describe how a reader measures cells, and its length's bounds."""

    option: str  # of the model, that sets it: max_length, seconds
    unit: str  # tokens, seconds
    read: float  # of a window
    limit: float  # of a window, that the model takes
    least: float  # of a window: shorter ones save nothing
    step: float  # lengths are multiples of it
    covers: float  # share of the rows that one window should hold whole
    batch: float  # of all windows of a batch, for its memory
    around: float = 0.0  # of each window, that is no part of the cell: special tokens
    slack: float = 0.0  # that a cell may be longer and still counts as whole

    def windows(self, size: float, window: float | None = None) -> int:
        """Return the windows that hold a cell of some size."""
        inside = (self.read if window is None else window) - self.around
        return max(1, math.ceil((size - self.around - self.slack) / inside))

    def reads(self, windows: int) -> float:
        """Return the largest cell that is read whole."""
        return windows * (self.read - self.around) + self.around + self.slack


def chosen(spec: Lengths, sizes: Sequence[float], rows: int, *, windowed: bool) -> tuple[float, int]:
    """Choose a window's length and the windows of a row.

    A window holds the usual row whole, within the model's limit and the memory of a batch; windows, at most ``MOST``,
    cover the longest row. A model of one window has it as long as the longest row.

    Args:
        spec: the reader's measure.
        sizes: sizes of cells.
        rows: rows of a batch.
        windowed: whether the model reads several windows.
    """
    usual = float(np.quantile(sizes, spec.covers if windowed else 1.0, method="higher"))
    wanted = max(spec.least, math.ceil(round(usual / spec.step, 6)) * spec.step)
    room = max(spec.least, spec.batch / rows // spec.step * spec.step)
    length = min(spec.limit, wanted, room)
    return length, min(MOST, spec.windows(max(sizes), length)) if windowed else 1


def starts(size: int, window: int, most: int, slack: int = 0) -> list[int]:
    """Return where the windows of a cell begin. They lie evenly from its start to its end and are all full.

    A cell of more than ``most`` windows is cut to so many side by side.
    """
    count = min(most, max(1, math.ceil((size - slack) / window)))
    spare = max(0, min(size, count * window) - window)
    return [place * spare // max(1, count - 1) for place in range(count)]


def said(plural: str, spec: Lengths, sizes: Sequence[float], windows: int) -> str:
    """Say how much of each cell is read: ``texts: 96 % whole, the longest 412 tokens; 128 are read``."""
    reads = spec.reads(windows)
    share = sum(size <= reads for size in sizes) / len(sizes)
    whole = "all" if share == 1 else f"{min(99, round(100 * share))} %"
    longest = shown(max(sizes), spec.unit)
    if windows > 1:
        end = f"up to {windows} windows of {shown(spec.read, spec.unit)} {spec.unit} are read"
    else:
        end = f"{shown(spec.read, spec.unit)} are read"
    return f"{plural}: {whole} whole, the longest {longest} {spec.unit}; {end}"


def shown(size: float, unit: str) -> str:
    return f"{size:,.0f}" if unit == "tokens" else f"{size:.4g}"
