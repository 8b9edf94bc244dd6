"""Losses of classifiers that play against features."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def margin_disparity(logits: Float[Tensor, "b c"], labels: Int[Tensor, "b"]) -> Float[Tensor, ""]:
    """``mean −log(1 − p_label)``: small where another classifier disagrees with the labels (arXiv:1904.05801).

    ``log(1 − p_y) = logsumexp_{k ≠ y} log p_k``, which stays finite where ``p_y`` rounds to one.
    """
    with torch.autocast(logits.device.type, enabled=False):
        log_p = logits.float().log_softmax(dim=1)
        own = F.one_hot(labels, logits.shape[1]).bool()
        return -log_p.masked_fill(own, -torch.inf).logsumexp(dim=1).mean()


def disagreement(first: Float[Tensor, "b c"], second: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Mean absolute difference of two classifiers' softmax outputs (maximum classifier discrepancy, arXiv:1712.02560)."""
    return (first.float().softmax(dim=1) - second.float().softmax(dim=1)).abs().mean()
