"""Compute losses and weights for domains with different classes.

They serve target rows of unknown classes, and source classes without target rows.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def unknown_boundary(logits: Float[Tensor, "b c"], unknown: int, level: float = 0.5) -> Float[Tensor, ""]:
    """Return the loss of target rows on the boundary of unknown. It is eq. 2 of arXiv:1804.10427.

    ``mean −t · log p_u − (1 − t) · log(1 − p_u)``: least where ``p_u = t``. ``log(1 − p_u)`` is
    ``logsumexp_{k ≠ u} log p_k``, which stays finite where ``p_u`` rounds to one.

    Args:
        logits: logits [b, c] of target rows, the output for unknown included.
        unknown: the position of that output; ``p_u`` is its softmax.
        level: ``t``, the probability to aim at.
    """
    with torch.autocast(logits.device.type, enabled=False):
        log_p = logits.float().log_softmax(dim=1)
        own = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
        own[unknown] = True
        known = log_p.masked_fill(own, -torch.inf).logsumexp(dim=1)
        return -(level * log_p[:, unknown] + (1 - level) * known).mean()


def class_weights(predicted: Float[Tensor, "c"]) -> Float[Tensor, "c"]:
    """Return each source class's share of the target predictions. The largest share is set to 1.

    Source: PADA, arXiv:1808.04205. ``predicted`` is the mean softmax [c] on the target.
    """
    return predicted / predicted.max()


def importance(verdict: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Return importance weights of source rows. They are detached and have mean 1 over the batch.

    ``1 − σ(verdict)`` (IWAN, arXiv:1803.09210, eq. 7), where ``verdict`` [n] are a critic's logits for "this is the
    source". A source row that the critic recognises easily has no counterpart in the target, and weighs little.
    """
    weight = torch.sigmoid(-verdict.detach().float())
    return weight / weight.mean().clamp_min(1e-6)
