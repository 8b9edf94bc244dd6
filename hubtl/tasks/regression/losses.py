"""Compute losses of predicted, standardised values."""

import torch
import torch.nn.functional as F
from torch import Tensor


def each(outputs: Tensor, wanted: Tensor, loss: str, delta: float, quantile: float) -> Tensor:
    """Return the loss [b, k] of each output: ``mse``, ``l1``, ``huber`` or ``pinball``.

    Args:
        outputs: outputs [b, k].
        wanted: standardised labels [b, k].
        loss: the name of the loss.
        delta: where ``huber`` turns from half the square into a line.
        quantile: the quantile of ``pinball``: errors below the truth weigh ``quantile``, errors above the rest of 1.
    """
    if loss == "mse":
        return (outputs - wanted).square()
    if loss == "l1":
        return (outputs - wanted).abs()
    if loss == "huber":
        return F.huber_loss(outputs, wanted, reduction="none", delta=delta)
    below = wanted - outputs
    return torch.maximum(quantile * below, (quantile - 1) * below)
