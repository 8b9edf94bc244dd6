"""Relate pixels and sites: a site is a cell of the square grid on which a dense model answers."""

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

IGNORE = 255  # the code of a pixel without a class


def side_of(sites: int) -> int:
    """Return the side of a square grid with so many sites."""
    return math.isqrt(sites)


def sampled(mask: np.ndarray, side: int, box: tuple[float, float, float, float] = (0, 0, 1, 1)) -> np.ndarray:
    """Sample a mask at the centres of a grid.

    Args:
        mask: classes [h, w] or [n, h, w].
        side: cells of the grid in each direction.
        box: left, top, right and bottom of the part, as shares of width and height.

    Returns:
        Classes [side, side] or [n, side, side].
    """
    height, width = mask.shape[-2:]
    left, top, right, bottom = box
    centres = (np.arange(side) + 0.5) / side
    rows = np.clip(((top + centres * (bottom - top)) * height).astype(int), 0, height - 1)
    columns = np.clip(((left + centres * (right - left)) * width).astype(int), 0, width - 1)
    return np.ascontiguousarray(mask[..., rows[:, None], columns[None, :]])


def at_sites(masks: np.ndarray, sites: int) -> np.ndarray:
    """Return whole masks [n, h, w] at the centres of a grid: [n, sites]."""
    return sampled(masks, side_of(sites)).reshape(len(masks), sites)


def upsampled(outputs: "Tensor", height: int, width: int) -> "Tensor":
    """Return outputs [n, sites, c] of a grid as interpolated maps.

    Args:
        outputs: outputs [n, sites, c].
        height: rows of pixels.
        width: columns of pixels.

    Returns:
        Maps [n, c, height, width], bilinear.
    """
    import torch.nn.functional as F

    side = side_of(outputs.shape[1])
    maps = outputs.float().transpose(1, 2).reshape(len(outputs), -1, side, side)
    return F.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)
