"""Losses and weights of domains whose classes differ: rows of no known class, and classes without rows."""

import torch
from jaxtyping import Float
from torch import Tensor


def unknown_boundary(logits: Float[Tensor, "b c"], unknown: int, level: float = 0.5) -> Float[Tensor, ""]:
    """``mean −t · log p_u − (1 − t) · log(1 − p_u)``, ``p_u`` the softmax of the output ``unknown`` and ``t`` the level
    (arXiv:1804.10427, eq. 2): least where ``p_u = t``.

    ``log(1 − p_u) = logsumexp_{k ≠ u} log p_k``, which stays finite where ``p_u`` rounds to one.
    """
    with torch.autocast(logits.device.type, enabled=False):
        log_p = logits.float().log_softmax(dim=1)
        own = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
        own[unknown] = True
        known = log_p.masked_fill(own, -torch.inf).logsumexp(dim=1)
        return -(level * log_p[:, unknown] + (1 - level) * known).mean()


def class_weights(predicted: Float[Tensor, "c"]) -> Float[Tensor, "c"]:
    """How much a source class counts: its share of the target's predictions, the largest set to 1 (arXiv:1808.04205)."""
    return predicted / predicted.max()


def importance(verdict: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """How much a source row counts: ``1 − σ(verdict)``, with mean 1 over the batch, detached (arXiv:1803.09210, eq. 7).

    ``verdict``: logits of a critic for "this is the source". A row that it is sure of has no like in the target.
    """
    weight = torch.sigmoid(-verdict.detach().float())
    return weight / weight.mean().clamp_min(1e-6)
