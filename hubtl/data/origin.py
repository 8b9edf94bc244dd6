"""Track the original number of rows after some were left out."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from datasets import Dataset


def select(dataset: Dataset, rows: Iterable[int]) -> Dataset:
    """Return ``dataset.select(rows)``, whose rows keep their original numbers."""
    index = np.asarray(list(rows), dtype=np.int64)
    chosen: Any = dataset.select(index)
    if chosen is dataset:  # of no rows there is nothing to choose
        return dataset
    chosen._hubtl_rows = numbers(dataset)[index]
    return chosen


def numbers(dataset: Dataset) -> np.ndarray:
    """Return int64 [n]: the number of each row in the opened split, from 0."""
    known = getattr(dataset, "_hubtl_rows", None)
    return np.arange(len(dataset)) if known is None or len(known) != len(dataset) else known
