"""Opening the rows of a domain as a model wants them: images, or what the backbone makes of several modalities."""

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
    """The rows of a split under one view. ``columns`` says which column holds which modality.

    Further keywords are those of ``ImageSet``: ``augment``, ``views``, ``random``, ``domains``, ``on_bad_sample``. A
    backbone that takes more than images makes the set itself (``Backbone.rows``), its random views by rules of its own.
    ``ranges`` are black and white of images of more than eight bits: by default what the model was trained with, else
    what these rows have.
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
    """Black and white of images of more than eight bits: what is known, else what these rows have."""
    if "image" not in columns:
        return known
    return ranges_of(undecoded(dataset.select_columns([columns["image"]])), columns["image"], known, name)
