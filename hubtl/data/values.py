"""Name the cells of a column."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import ClassLabel, Dataset, LargeList, List

UNKNOWN = "_unknown"  # after the name of a column of lists: names of which a row is not known to have or to lack
LABEL_NAMES = ("label", "labels", "class", "category", "target", "fine_label", "class_name")  # of columns


def value_name(value: Any) -> str | None:
    """Return a cell's label: 1.0 is 1; None for an empty cell and for NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return text if text.strip() else None


def cell_names(dataset: Dataset, column: str) -> list[str | None]:
    """Return the name of each cell of a column: a feature's own name for it, None if empty."""
    names = names_of(dataset, column)
    values = dataset.with_format(None)[column][:]
    return [(names[v] if v is not None and 0 <= v < len(names) else None) if names else value_name(v) for v in values]


def labelled(names: Sequence[str]) -> ClassLabel:
    """Make the feature of a column whose numbers stand for names."""
    return ClassLabel(names=list(names))


def named_columns(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the names of number columns, by column, in order. Columns are single or in lists."""
    items = {column: item_of(feature) for column, feature in features.items()}
    return {column: tuple(item.names) for column, item in items.items() if isinstance(item, ClassLabel)}


def is_list(feature: Any) -> bool:
    """Return whether the cells of a column are lists."""
    return isinstance(feature, List | LargeList)


def item_of(feature: Any) -> Any:
    """Return a cell's feature, or that of its list's items."""
    return feature.feature if is_list(feature) else feature


def names_of(dataset: Dataset, column: str) -> list[str]:
    """Return the names that a ``ClassLabel`` gives its numbers; none for any other column."""
    feature = dataset.features[column]
    return list(feature.names) if isinstance(feature, ClassLabel) else []
