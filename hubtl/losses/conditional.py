"""What a critic conditioned on predictions sees, and how much a row counts."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from hubtl.losses import entropy


def outer(features: Float[Tensor, "b d"], probabilities: Float[Tensor, "b c"]) -> Float[Tensor, "b e"]:
    """``f ⊗ p`` of each row, [b, c · d]."""
    return (probabilities[:, :, None] * features[:, None, :]).flatten(1)


def certainty(logits: Float[Tensor, "b c"]) -> Float[Tensor, "b"]:
    """``1 + exp(−H(p))``, detached and with mean 1 over the batch."""
    weight = (1 + torch.exp(-entropy(logits))).detach()
    return weight / weight.mean()


def weighted_domain_loss(
    verdict: Float[Tensor, "b"], source: int, weight: Float[Tensor, "b"] | None = None
) -> Float[Tensor, ""]:
    """Binary cross-entropy of a critic's logits, the first ``source`` rows against the others, rows weighted.

    Both domains weigh the same, however many rows each has.
    """
    truth = torch.zeros_like(verdict, dtype=torch.float32)
    truth[:source] = 1
    loss = F.binary_cross_entropy_with_logits(verdict.float(), truth, reduction="none")
    loss = loss if weight is None else loss * weight
    return 0.5 * (loss[:source].mean() + loss[source:].mean())
