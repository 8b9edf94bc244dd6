"""Losses of predicted values, each of standardised values."""

import torch
import torch.nn.functional as F
from torch import Tensor


def each(outputs: Tensor, wanted: Tensor, loss: str, delta: float, quantile: float) -> Tensor:
    """The loss of each output of each row [b, k]: ``mse``, ``l1``, ``huber`` or ``pinball``.

    ``delta`` is where ``huber`` turns from half the square into a line. ``pinball`` is least at the ``quantile`` of what
    a row can be: it weighs an output below the truth with ``quantile``, and one above with the rest of 1.
    """
    if loss == "mse":
        return (outputs - wanted).square()
    if loss == "l1":
        return (outputs - wanted).abs()
    if loss == "huber":
        return F.huber_loss(outputs, wanted, reduction="none", delta=delta)
    below = wanted - outputs
    return torch.maximum(quantile * below, (quantile - 1) * below)
