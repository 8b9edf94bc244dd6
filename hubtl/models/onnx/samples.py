"""Make up two rows to trace and compare a model with."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hubtl.errors import HubtlError
from hubtl.modalities.rows import stacked
from hubtl.plugins import modalities

SHARES = (1.0, 0.6)  # of the longest row


def samples(model: Any) -> dict[str, Tensor]:
    """Return hubtl's inputs of two made-up rows.

    The second one is shorter where lengths differ, and lacks one of several modalities.

    Raises:
        HubtlError: for a backbone that neither has readers nor takes images.
    """
    backbone = model.backbone
    if backbone.readers:
        rng = np.random.default_rng(0)
        readers = {
            name: getattr(reader, "window", reader) for name, reader in backbone.readers.items()
        }  # one, as other programs run it
        rows = [{name: reader.noise(rng, share) for name, reader in readers.items()} for share in SHARES]
        if len(readers) == 1:
            return stacked(readers, rows)
        missing = list(readers)[-1]
        rows[1][missing] = readers[missing].empty()
        there = {f"{name}.present": torch.tensor([True, name != missing]) for name in readers}
        return {**stacked(readers, rows), **there}
    if len(model.info.modalities) == 1:
        made = modalities.of(model.info.modalities[0], shown=model.info.name).trial(model.info.input)
        if made is not None:
            return dict(made)
    raise HubtlError(f"{model.info.name} says of no row what it is like", hint="its loader gives Backbone.readers")


def first_twice(rows: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the first row twice, where rows share one length."""
    return {name: x[[0, 0]] for name, x in rows.items()}
