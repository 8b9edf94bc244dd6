"""Calibrate the confidence of a head by temperatures."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

LIMIT = 100.0  # of a factor: rows that a head tells apart without an error would ask for ever more


def fit(
    head: nn.Linear, features: Tensor, labels: Tensor, blocks: Mapping[str, slice]
) -> tuple[dict[str, float], float, float]:
    """Scale the blocks of a head's weight [c, d] to fit labels. Each block's scale maximises their likelihood.

    Each block is calibrated by itself, and then their sum: an overconfident block weighs less, also where the others
    are missing. The bias goes with the first block.

    Args:
        head: the head, changed in place.
        features: features [n, d].
        labels: classes [n].
        blocks: slices of the features by name.

    Returns:
        The factors, and the cross-entropy before and after, of the same rows.
    """
    weight, bias = head.weight.detach().cpu().double(), None if head.bias is None else head.bias.detach().cpu().double()
    x = features.double()
    parts = [x[:, place] @ weight[:, place].T for place in blocks.values()]
    if bias is not None:
        parts[0] = parts[0] + bias
    own = [temperature(part, labels) for part in parts] if len(parts) > 1 else [1.0]
    together = torch.stack([factor * part for factor, part in zip(own, parts, strict=True)]).sum(dim=0)
    last = temperature(together, labels)
    factors = [factor * last for factor in own]
    before = float(F.cross_entropy(torch.stack(parts).sum(dim=0), labels))
    after = float(F.cross_entropy(last * together, labels))
    with torch.no_grad():
        for place, factor in zip(blocks.values(), factors, strict=True):
            head.weight[:, place].mul_(factor)
        if head.bias is not None:
            head.bias.mul_(factors[0])
    return dict(zip(blocks, factors, strict=True)), before, after


def temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the logits' factor that maximises the labels' likelihood. It is within 1 / 100 to 100.

    Args:
        logits: logits [n, c].
        labels: classes [n].
    """
    found = minimize_scalar(
        lambda log: float(F.cross_entropy(logits * math.exp(log), labels)),
        bounds=(-math.log(LIMIT), math.log(LIMIT)),
        method="bounded",
    )
    return math.exp(float(found.x))
