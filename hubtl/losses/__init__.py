"""Losses of adaptation, as pure functions of features and logits. All compute in float32, whatever the autocast."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def entropy(logits: Float[Tensor, "b c"]) -> Float[Tensor, "b"]:
    """Entropy of each row's softmax, in nats."""
    log_p = logits.float().log_softmax(dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)


def covariance_gap(source: Float[Tensor, "n d"], target: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """``‖C_s − C_t‖²_F / 4d²`` with the unbiased covariances of the batches (Deep CORAL, arXiv:1607.01719, eq. 1).

    Each batch needs at least two rows. Means do not enter: a shift of all features alone costs nothing.
    """
    with torch.autocast(source.device.type, enabled=False):
        gap = _covariance(source.float()) - _covariance(target.float())
        return gap.square().sum() / (4 * source.shape[1] ** 2)


def _covariance(rows: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    centred = rows - rows.mean(dim=0, keepdim=True)
    return centred.T @ centred / (len(rows) - 1)


def class_confusion(logits: Float[Tensor, "b c"], temperature: float = 2.5) -> Float[Tensor, ""]:
    """Minimum class confusion (arXiv:1912.03699): how much the classes of a target batch are mistaken for one another.

    ``p = softmax(logits / T)``; row weights ``w = 1 + exp(−H(p))``, normalised to mean 1 and detached;
    ``M = pᵀ diag(w) p``, its rows normalised to 1; the loss is ``(ΣM − tr M) / c``.

    A row of M is a mean of the batch's predictions, weighted by how much of the class each holds. So it is computed: a
    class that no row predicts would else be 0 / 0. The mean of ``w`` cancels.
    """
    with torch.autocast(logits.device.type, enabled=False):
        scaled = logits.float() / temperature
        log_p = scaled.log_softmax(dim=1)
        log_w = torch.log1p(torch.exp(-entropy(scaled))).detach()
        share = (log_p + log_w[:, None]).softmax(dim=0)
        confusion = share.T @ log_p.exp()
        return 1 - confusion.trace() / logits.shape[1]


def domain_loss(source: Float[Tensor, "n"], target: Float[Tensor, "m"]) -> Float[Tensor, ""]:
    """Binary cross-entropy of a critic's logits, source against target, both domains weighing the same."""
    s, t = source.float(), target.float()
    return 0.5 * (
        F.binary_cross_entropy_with_logits(s, torch.ones_like(s))
        + F.binary_cross_entropy_with_logits(t, torch.zeros_like(t))
    )


def domain_accuracy(source: Float[Tensor, "n"], target: Float[Tensor, "m"]) -> Float[Tensor, ""]:
    """Share of rows whose domain the critic tells, both domains weighing the same; 0.5 is chance."""
    return 0.5 * ((source > 0).float().mean() + (target <= 0).float().mean())
