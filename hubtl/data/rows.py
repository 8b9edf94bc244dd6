"""The rows of a domain as a model wants them: images, or what the backbone makes of several modalities."""

from typing import Any, cast

import numpy as np
from datasets import Dataset

from hubtl.backbones.base import Backbone
from hubtl.data.images import ImageSet


def open_rows(
    backbone: Backbone, dataset: Dataset, columns: dict[str, str], *, labels: np.ndarray | None, name: str, **how: Any
) -> ImageSet:
    """The rows of a split under one view. ``columns`` says which column holds which modality.

    Further keywords are those of ``ImageSet``: ``augment``, ``views``, ``domains``, ``on_bad_sample``. A backbone that
    takes more than images makes the set itself (``Backbone.rows``), with the same interface.
    """
    how = {"augment": False} | how
    if backbone.rows is not None:
        return cast(ImageSet, backbone.rows(dataset, columns, labels=labels, name=name, **how))
    spec = backbone.info.input
    return ImageSet(dataset, columns["image"], labels=labels, spec=spec, name=name, **how)
