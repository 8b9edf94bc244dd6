"""Which row of the user's own data a row is, after some were left out."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from datasets import Dataset


def select(dataset: Dataset, rows: Iterable[int]) -> Dataset:
    """``dataset.select(rows)``, whose rows know which they were."""
    index = np.asarray(list(rows), dtype=np.int64)
    chosen: Any = dataset.select(index)
    if chosen is dataset:  # of no rows there is nothing to choose
        return dataset
    chosen._hubtl_rows = numbers(dataset)[index]
    return chosen


def numbers(dataset: Dataset) -> np.ndarray:
    """int64 [n]: the number of each row in the split that was opened, from 0 on."""
    known = getattr(dataset, "_hubtl_rows", None)
    return np.arange(len(dataset)) if known is None or len(known) != len(dataset) else known
