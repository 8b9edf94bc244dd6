"""Compute what methods for segmentation share: maps of predictions, and mixed and masked grids."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


def self_information(logits: Float[Tensor, "m c"], sites: int) -> Float[Tensor, "b c h w"]:
    """Return maps of weighted self-information, ``−p log p / log c`` (ADVENT, arXiv:1811.12833).

    Their sum over classes is the normalised entropy of a site.

    Args:
        logits: logits [b · sites, c]; the grid is square.
        sites: sites of an input.
    """
    log_p = logits.float().log_softmax(dim=1)
    own = -(log_p.exp() * log_p) / math.log(max(2, logits.shape[1]))
    side = math.isqrt(sites)
    maps: Tensor = own.unflatten(0, (-1, side, side)).movedim(3, 1)
    return maps


def class_mask(labels: Int[Tensor, "b s"]) -> Bool[Tensor, "b s"]:
    """Return the sites of half of each input's classes, at random.

    It is the mask of ClassMix (arXiv:2007.07936). Of an odd number of classes, one more than half is drawn. Sites
    without a class (a negative label) are left out.

    Args:
        labels: classes [b, s] of the sites.
    """
    chosen = torch.zeros_like(labels, dtype=torch.bool)
    for row, own in enumerate(labels):
        classes = own[own >= 0].unique()
        drawn = classes[torch.randperm(len(classes), device=labels.device)[: (len(classes) + 1) // 2]]
        chosen[row] = torch.isin(own, drawn)
    return chosen


def mixed(first: Tensor, second: Tensor, mask: Bool[Tensor, "b s"]) -> Tensor:
    """Return the first inputs under the mask, and the second elsewhere.

    Args:
        first: inputs [b, ...]; images are [b, c, h, w].
        second: inputs of the same shape.
        mask: sites [b, s] of a square grid over each input; with one site, whole inputs.
    """
    if mask.shape[1] == 1:
        return torch.where(mask.reshape(-1, *[1] * (first.ndim - 1)), first, second)
    side = math.isqrt(mask.shape[1])
    grid = mask.reshape(-1, 1, side, side).float()
    return torch.where(F.interpolate(grid, size=first.shape[2:], mode="nearest") > 0.5, first, second)


def block_masked(inputs: Tensor, block: float, ratio: float) -> Tensor:
    """Return inputs whose random blocks are 0 (MIC, arXiv:2212.01322).

    Args:
        inputs: images [b, c, h, w], or rows [b, d].
        block: side of a block, as a share of the input's.
        ratio: expected share of the blocks that are masked.
    """
    rows = inputs if inputs.ndim > 2 else inputs[:, None]
    cells = max(1, round(1 / block))
    kept = torch.rand(len(rows), 1, *[cells] * (rows.ndim - 2), device=inputs.device) >= ratio
    whole = F.interpolate(kept.float(), size=rows.shape[2:], mode="nearest")
    return (rows * whole).reshape(inputs.shape)


def weighted_cross_entropy(
    logits: Float[Tensor, "m c"], labels: Int[Tensor, "m"], weight: Float[Tensor, "m"]
) -> Float[Tensor, ""]:
    """Return the sites' weighted cross-entropy, divided by the number of sites; 0 where a label is −100.

    Args:
        logits: logits [m, c].
        labels: classes [m].
        weight: weights [m].
    """
    return (F.cross_entropy(logits.float(), labels, reduction="none") * weight).sum() / max(1, len(labels))
