"""What the cells of a column are called."""

import math
from typing import Any

from datasets import ClassLabel, Dataset


def value_name(value: Any) -> str | None:
    """What a cell calls its class: 1.0 is 1; None for an empty cell and for NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return text if text.strip() else None


def cell_names(dataset: Dataset, column: str) -> list[str | None]:
    """What each cell of a column is called: a feature's own name for it, None where it is empty."""
    names = names_of(dataset, column)
    values = dataset.with_format(None)[column][:]
    return [(names[v] if v is not None and 0 <= v < len(names) else None) if names else value_name(v) for v in values]


def names_of(dataset: Dataset, column: str) -> list[str]:
    """The names that a ``ClassLabel`` gives its numbers; none of any other column."""
    feature = dataset.features[column]
    return list(feature.names) if isinstance(feature, ClassLabel) else []
