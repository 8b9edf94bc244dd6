"""Compute losses of several binary answers at once."""

import torch
import torch.nn.functional as F


def binary(outputs: torch.Tensor, labels: torch.Tensor, positive: torch.Tensor | None) -> torch.Tensor:
    """Return the binary cross-entropy of each cell [b, c].

    Args:
        outputs: logits [b, c].
        labels: 0 or 1 [b, c].
        positive: weight [c] of cells that have the class; None: 1.
    """
    return F.binary_cross_entropy_with_logits(outputs, labels, pos_weight=positive, reduction="none")


def asymmetric(
    outputs: torch.Tensor,
    labels: torch.Tensor,
    positive: torch.Tensor | None,
    *,
    gamma_negative: float,
    gamma_positive: float,
    clip: float,
) -> torch.Tensor:
    """Return the asymmetric loss of each cell [b, c] (arXiv:2009.14119).

    ``−y (1 − p)^γ₊ log p − (1 − y) q^γ₋ log(1 − q)``, ``q = max(p − clip, 0)``: easy negatives count little, and below
    ``clip`` nothing.

    Args:
        outputs: logits [b, c].
        labels: 0 or 1 [b, c].
        positive: weight [c] of cells that have the class; None: 1.
        gamma_negative: ``γ₋``.
        gamma_positive: ``γ₊``.
        clip: the probability that is subtracted from negatives.
    """
    p = outputs.sigmoid()
    q = (p - clip).clamp_min(0)
    there = (1 - p).pow(gamma_positive) * F.logsigmoid(outputs)
    away = q.pow(gamma_negative) * torch.log1p(-q.clamp_max(1 - 1e-6))
    weight = 1.0 if positive is None else positive
    return -(weight * labels * there + (1 - labels) * away)
