"""Open the rows of a domain for a model: images, or a backbone's rows of several modalities."""

from typing import Any

import numpy as np
from datasets import Dataset

from hubtl.backbones.base import Backbone, PixelRanges
from hubtl.data.content import undecoded
from hubtl.data.images import ImageSet
from hubtl.data.ranges import ranges_of
from hubtl.data.rows import Opened


def open_rows(
    backbone: Backbone, dataset: Dataset, columns: dict[str, str], *, labels: np.ndarray | None, name: str, **how: Any
) -> Opened:
    """Open the rows of a split under one view.

    A backbone of other modalities makes the set itself (``Backbone.rows``), with its own rules for random views.

    Args:
        backbone: the backbone.
        dataset: the data set.
        columns: the column of each modality.
        labels: labels [n, …]; None seals the set.
        name: for messages.
        **how: further arguments of ``ImageSet``: ``augment``, ``views``, ``random``, ``domains``, ``on_bad_sample``,
            and ``ranges``, by default those that the model was trained with, else those of these rows.
    """
    how = {"augment": False} | how
    ranges = how.pop("ranges", None)
    if ranges is None:
        ranges = ranges_in_rows(dataset, columns, backbone.ranges, name)
    if ranges:
        how["ranges"] = ranges
    if backbone.rows is not None:
        how.pop("random", None)
        made: Opened = backbone.rows(dataset, columns, labels=labels, name=name, **how)
        return made
    spec = backbone.info.input
    return ImageSet(dataset, columns["image"], labels=labels, spec=spec, name=name, **how)


def ranges_in_rows(dataset: Dataset, columns: dict[str, str], known: PixelRanges, name: str) -> PixelRanges:
    """Return black and white of images of more than eight bits: known ones, else those of these rows."""
    if "image" not in columns:
        return known
    return ranges_of(undecoded(dataset.select_columns([columns["image"]])), columns["image"], known, name)
