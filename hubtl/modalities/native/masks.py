"""Masks over the tokens of a row."""

import torch
from torch import Tensor


def with_first(mask: Tensor) -> Tensor:
    """Return the mask [b, t] with the first place True: an empty row would make attention divide by zero."""
    return torch.cat([torch.ones_like(mask[:, :1]), mask[:, 1:]], dim=1)
