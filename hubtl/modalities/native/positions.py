"""Resample learned positions to another grid."""

import torch
from torch import Tensor
from torch.nn import functional as F


@torch.no_grad()
def resampled(table: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Resample positions [p + h · w, d] of a grid to another, bicubic; prefix tokens keep theirs."""
    prefix = len(table) - old[0] * old[1]
    grid = table[prefix:].reshape(1, *old, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid.float(), size=new, mode="bicubic", align_corners=False)
    return torch.cat([table[:prefix], grid.permute(0, 2, 3, 1).flatten(0, 2).to(table.dtype)])
