"""Handle missing modalities, and means without values."""

from collections.abc import Mapping

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor, dim: int = 0) -> Tensor:
    """Return the mean along ``dim`` of values whose mask is True; zero without any.

    The mask has the leading dimensions of the values.
    """
    keep = mask.reshape(mask.shape + (1,) * (values.dim() - mask.dim())).to(values.dtype)
    return (values * keep).sum(dim) / keep.sum(dim).clamp(min=1)


def drop_modalities(present: Mapping[str, Tensor], p: float) -> dict[str, Tensor]:
    """Drop each modality of a row [b] with probability ``p``. Its last one is never dropped."""
    had = torch.stack(list(present.values()), dim=1)  # [b, m]
    draw = torch.rand(had.shape, device=had.device)
    kept = had & (draw >= p)
    # of a row that lost all, the one that was nearest to being kept
    best = draw.masked_fill(~had, -1.0).argmax(dim=1, keepdim=True)
    one = torch.zeros_like(had).scatter(1, best, True) & had
    kept = torch.where(kept.any(dim=1, keepdim=True), kept, one)
    return {name: kept[:, at] for at, name in enumerate(present)}
