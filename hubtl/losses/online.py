"""Compute losses and row weights of test-time adaptation. Batches have no labels."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hubtl.losses import entropy


def teacher_cross_entropy(student: Float[Tensor, "b c"], teacher: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Return ``−Σ softmax(teacher) · log softmax(student)``, averaged over rows.

    Args:
        student: logits [b, c] that learn.
        teacher: logits [b, c] that get no gradient.
    """
    target = teacher.detach().float().softmax(dim=1)
    return -(target * student.float().log_softmax(dim=1)).sum(dim=1).mean()


def soft_likelihood_ratio(logits: Float[Tensor, "b c"]) -> Float[Tensor, "b"]:
    """Return the soft likelihood ratio of each row (ROID, arXiv:2306.00650).

    ``−Σ_k p_k · log(p_k / (1 − p_k))``: its gradient does not vanish where the prediction is certain. Probabilities are
    clamped to [1e-5, 0.99].
    """
    p = logits.float().softmax(dim=1).clamp(1e-5, 0.99)
    return -(p * (p.log() - torch.log1p(-p))).sum(dim=1)


def unlike(logits: Float[Tensor, "b c"], usual: Float[Tensor, "c"]) -> Float[Tensor, "b"]:
    """Return ``1 − cos(p, usual)`` of each row: its distance from the usual prediction.

    Args:
        logits: logits [b, c].
        usual: the usual class probabilities [c].
    """
    p = logits.detach().float().softmax(dim=1)
    return 1 - torch.cosine_similarity(p, usual[None].float(), dim=1)


def certainty_diversity(
    logits: Float[Tensor, "b c"], usual: Float[Tensor, "c"], temperature: float
) -> tuple[Float[Tensor, "b"], Bool[Tensor, "b"]]:
    """Return ROID's row weights ``exp(d · s / T)`` and the mask of kept rows.

    Kept are rows at least as diverse as the mean. ``d`` is ``unlike(…)`` and ``s`` the negative entropy, both scaled to
    0..1 within the batch.

    Args:
        logits: logits [b, c].
        usual: the usual class probabilities [c].
        temperature: ``T``; smaller values sharpen the weights.

    Returns:
        Weights [b] and a mask [b].
    """
    diverse = _unit(unlike(logits, usual))
    certain = _unit(-entropy(logits.detach()))
    return torch.exp(diverse * certain / temperature), diverse >= diverse.mean()


def smoothed_prior(logits: Float[Tensor, "b c"]) -> Float[Tensor, "c"]:
    """Return the batch's mean prediction, smoothed towards uniform (ROID).

    Smaller batches are smoothed more.
    """
    prior = logits.detach().float().softmax(dim=1).mean(dim=0)
    rows, classes = logits.shape
    smooth = max(1 / rows, 1 / classes) / prior.max()
    return (prior + smooth) / (1 + smooth * classes)


def _unit(x: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
    return (x - x.min()) / (x.max() - x.min()).clamp_min(1e-12)
