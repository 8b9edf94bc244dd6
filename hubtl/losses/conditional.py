"""Compute the inputs and row weights of a critic conditioned on predictions."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from hubtl.losses import entropy


def outer(features: Float[Tensor, "b d"], probabilities: Float[Tensor, "b c"]) -> Float[Tensor, "b e"]:
    """Return the outer product ``f ⊗ p`` of each row, [b, c · d].

    Args:
        features: features [b, d].
        probabilities: class probabilities [b, c].
    """
    return (probabilities[:, :, None] * features[:, None, :]).flatten(1)


def certainty(logits: Float[Tensor, "b c"]) -> Float[Tensor, "b"]:
    """Return row weights ``1 + exp(−H(p))``, detached and with mean 1 over the batch."""
    weight = (1 + torch.exp(-entropy(logits))).detach()
    return weight / weight.mean()


def weighted_domain_loss(
    verdict: Float[Tensor, "b"], source: int, weight: Float[Tensor, "b"] | None = None
) -> Float[Tensor, ""]:
    """Return the weighted binary cross-entropy of a critic's logits.

    Both domains weigh the same, however many rows each has.

    Args:
        verdict: the critic's logits [b]: source rows first, then target rows.
        source: the number of source rows.
        weight: weights [b] of the rows; None weighs all the same.
    """
    truth = torch.zeros_like(verdict, dtype=torch.float32)
    truth[:source] = 1
    loss = F.binary_cross_entropy_with_logits(verdict.float(), truth, reduction="none")
    loss = loss if weight is None else loss * weight
    return 0.5 * (loss[:source].mean() + loss[source:].mean())
