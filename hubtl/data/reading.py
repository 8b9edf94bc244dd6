"""Opening the rows of a domain as a model wants them: as its modality does, or as the backbone does of several."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from datasets import Dataset

from hubtl.backbones.base import Backbone, PixelRanges
from hubtl.data.rows import Opened
from hubtl.plugins import modalities


def open_rows(
    backbone: Backbone,
    dataset: Dataset,
    columns: Mapping[str, str],
    *,
    labels: np.ndarray | None,
    name: str,
    **how: Any,
) -> Opened:
    """Open the rows of a split under one view.

    Further keywords: ``augment``, ``views``, ``domains`` and ``on_bad_sample``, as ``hubtl.data.rows.Rows`` has them;
    ``data`` is the recipe's section, which says how random views are made. A backbone with ``rows`` makes the set itself,
    its random views by rules of its own. ``ranges`` are what the rows are scaled by, of images black and white: by default
    what the model was trained with, else what these rows have.
    """
    how = {"augment": False} | how
    ranges = how.pop("ranges", None)
    if ranges is None:
        ranges = ranges_in_rows(dataset, columns, backbone.ranges, name)
    if ranges:
        how["ranges"] = ranges
    made: Opened
    if backbone.rows is not None:
        how.pop("data", None)
        made = backbone.rows(dataset, columns, labels=labels, name=name, **how)
        return made
    (modality,) = backbone.info.modalities
    made = modalities.of(modality).rows(backbone, dataset, columns[modality], labels=labels, name=name, **how)
    return made


def ranges_in_rows(dataset: Dataset, columns: Mapping[str, str], known: PixelRanges, name: str) -> PixelRanges:
    """Return the ranges that scale rows, black and white for images: known ones, else those of these rows."""
    for modality, column in columns.items():
        known = modalities.of(modality).ranges(dataset, column, known, name)
    return known
