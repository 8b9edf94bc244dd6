"""Compute the losses of adaptation as pure functions of features and logits.

All compute in float32, whatever the autocast. Rows are the samples of a batch; the class axis is dim 1.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def entropy(logits: Float[Tensor, "b c"]) -> Float[Tensor, "b"]:
    """Return the entropy of each row's softmax, in nats."""
    log_p = logits.float().log_softmax(dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)


def covariance_gap(source: Float[Tensor, "n d"], target: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Return Deep CORAL's distance between two covariance matrices (arXiv:1607.01719, eq. 1).

    ``‖C_s − C_t‖²_F / 4d²`` with the unbiased covariances of the batches. Means do not enter: a constant shift of all
    features costs nothing.

    Args:
        source: features [n, d] of the source batch, at least two rows.
        target: features [m, d] of the target batch, at least two rows.
    """
    with torch.autocast(source.device.type, enabled=False):
        gap = _covariance(source.float()) - _covariance(target.float())
        return gap.square().sum() / (4 * source.shape[1] ** 2)


def _covariance(rows: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    centred = rows - rows.mean(dim=0, keepdim=True)
    return centred.T @ centred / (len(rows) - 1)


def class_confusion(logits: Float[Tensor, "b c"], temperature: float = 2.5) -> Float[Tensor, ""]:
    """Return the minimum class confusion loss of a target batch (arXiv:1912.03699).

    ``p = softmax(logits / T)``; row weights ``w = 1 + exp(−H(p))``, normalised to mean 1 and detached;
    ``M = pᵀ diag(w) p``, its rows normalised to 1; the loss is ``(ΣM − tr M) / c``.

    A row of M is a mean of the batch's predictions, weighted by how much of the class each holds. It is computed as
    such a mean, because a class that no row predicts would otherwise be 0 / 0. The mean of ``w`` cancels.

    Args:
        logits: logits [b, c] of the target batch.
        temperature: ``T``; larger values soften the predictions.
    """
    with torch.autocast(logits.device.type, enabled=False):
        scaled = logits.float() / temperature
        log_p = scaled.log_softmax(dim=1)
        log_w = torch.log1p(torch.exp(-entropy(scaled))).detach()
        share = (log_p + log_w[:, None]).softmax(dim=0)
        confusion = share.T @ log_p.exp()
        return 1 - confusion.trace() / logits.shape[1]


def domain_loss(source: Float[Tensor, "n"], target: Float[Tensor, "m"]) -> Float[Tensor, ""]:
    """Return the binary cross-entropy of a critic's logits, source against target.

    Both domains weigh the same, however many rows each has.

    Args:
        source: the critic's logits [n] for source rows (label 1).
        target: the critic's logits [m] for target rows (label 0).
    """
    s, t = source.float(), target.float()
    return 0.5 * (
        F.binary_cross_entropy_with_logits(s, torch.ones_like(s))
        + F.binary_cross_entropy_with_logits(t, torch.zeros_like(t))
    )


def domain_accuracy(source: Float[Tensor, "n"], target: Float[Tensor, "m"]) -> Float[Tensor, ""]:
    """Return the accuracy of a critic, averaged over the two domains; 0.5 is chance.

    Args:
        source: the critic's logits [n] for source rows.
        target: the critic's logits [m] for target rows.
    """
    return 0.5 * ((source > 0).float().mean() + (target <= 0).float().mean())
