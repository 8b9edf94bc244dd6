"""Average linear heads on the same features exactly, into one linear head."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hubtl.tasks import Task

FLAT = 1e-6  # a spread of outputs below which they say nothing


def factors(task: Task, outputs: Sequence[Tensor], weights: Sequence[float]) -> list[float]:
    """Return the factor of each model's outputs in the mean.

    It is the model's weight, at a common scale where the scale is free. Where a task's outputs mean the same at any
    scale, as logits do, each is divided by its standard deviation σ and the mean is multiplied by the mean σ; otherwise
    the most confident model would outvote the others. Models with nearly constant outputs keep their scale.

    Args:
        task: the task.
        outputs: outputs [n, k] of each model on the same unlabelled rows.
        weights: the weight of each model.
    """
    total = sum(weights)
    shares = [weight / total for weight in weights]
    if not task.scale_free:
        return shares
    spreads = [float(seen.double().std()) for seen in outputs]
    if min(spreads) < FLAT:
        return shares
    common = sum(share * spread for share, spread in zip(shares, spreads, strict=True))
    return [share * common / spread for share, spread in zip(shares, spreads, strict=True)]


@torch.no_grad()
def averaged(layers: Sequence[nn.Linear], counts: Sequence[float]) -> nn.Linear:
    """Make the linear layer that sums the layers' outputs. Each counts as often as ``counts`` says.

    Summed in float64.

    Args:
        layers: the layers.
        counts: the factor of each layer.

    Raises:
        ValueError: for layers of different widths.
    """
    shapes = {(layer.in_features, layer.out_features) for layer in layers}
    if len(shapes) != 1:
        raise ValueError(f"layers of different shapes are not averaged: {sorted(shapes)}")
    (inner, outer) = shapes.pop()
    mean = nn.Linear(inner, outer)
    weight = torch.zeros(outer, inner, dtype=torch.float64)
    bias = torch.zeros(outer, dtype=torch.float64)
    for layer, count in zip(layers, counts, strict=True):
        weight += count * layer.weight.detach().cpu().double()
        if layer.bias is not None:
            bias += count * layer.bias.detach().cpu().double()
    mean.weight.copy_(weight)
    mean.bias.copy_(bias)
    return mean
