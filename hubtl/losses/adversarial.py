"""Compute losses of classifiers that play against features."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

OFFSET = 1e-6


def margin_disparity(logits: Float[Tensor, "b c"], labels: Int[Tensor, "b"]) -> Float[Tensor, ""]:
    """Return ``mean −log(1 − p_label + 1e-6)``, the target term of MDD (arXiv:1904.05801).

    It is small where another classifier disagrees with the labels. The offset is the authors': it bounds the loss of a
    row that agrees fully at 13.8 and stops its gradient. Otherwise features and adversary would drive each other's
    weights up without end. ``1 − p_y`` is summed from the other classes, since in float32 a difference is noise where
    ``p_y`` is nearly one.

    Args:
        logits: logits [b, c] of the adversary.
        labels: classes [b] that the classifier predicts.
    """
    with torch.autocast(logits.device.type, enabled=False):
        log_p = logits.float().log_softmax(dim=1)
        own = F.one_hot(labels, logits.shape[1]).bool()
        others = log_p.masked_fill(own, -torch.inf).logsumexp(dim=1)
        offset = torch.full_like(others, math.log(OFFSET))
        return -torch.logaddexp(others, offset).clamp_max(0).mean()


def unevenness(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Return ``−mean_k log(mean_i p_ik + 1e-6)``, which is least for evenly predicted classes.

    The least value is ``ln c``.
    """
    mean = logits.float().softmax(dim=1).mean(dim=0)
    return -(mean + 1e-6).log().mean()


def disagreement(first: Float[Tensor, "b c"], second: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Return the mean absolute difference of two softmax outputs (MCD, arXiv:1712.02560).

    Args:
        first: logits [b, c] of one classifier.
        second: logits [b, c] of the other classifier, for the same rows.
    """
    return (first.float().softmax(dim=1) - second.float().softmax(dim=1)).abs().mean()
