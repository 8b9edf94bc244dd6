"""Losses and row weights of test-time adaptation: what a model can learn from a batch without labels."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hubtl.losses import entropy


def teacher_cross_entropy(student: Float[Tensor, "b c"], teacher: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """``−Σ softmax(teacher) · log softmax(student)``, the mean over rows; the teacher gets no gradient."""
    target = teacher.detach().float().softmax(dim=1)
    return -(target * student.float().log_softmax(dim=1)).sum(dim=1).mean()


def soft_likelihood_ratio(logits: Float[Tensor, "b c"]) -> Float[Tensor, "b"]:
    """``−Σ_k p_k · log(p_k / (1 − p_k))`` of each row (ROID, arXiv:2306.00650): its gradient does not vanish where
    the prediction is certain. Probabilities are kept in [1e-5, 0.99]."""
    p = logits.float().softmax(dim=1).clamp(1e-5, 0.99)
    return -(p * (p.log() - torch.log1p(-p))).sum(dim=1)


def unlike(logits: Float[Tensor, "b c"], usual: Float[Tensor, "c"]) -> Float[Tensor, "b"]:
    """``1 − cos(p, usual)``: how far each row's prediction is from the usual one."""
    p = logits.detach().float().softmax(dim=1)
    return 1 - torch.cosine_similarity(p, usual[None].float(), dim=1)


def certainty_diversity(
    logits: Float[Tensor, "b c"], usual: Float[Tensor, "c"], temperature: float
) -> tuple[Float[Tensor, "b"], Bool[Tensor, "b"]]:
    """ROID's row weights ``exp(d · s / T)``, and the rows that are kept: those at least as diverse as the mean.

    ``d`` is ``unlike(…)``, ``s`` the negative entropy, both scaled to 0..1 within the batch.
    """
    diverse = _unit(unlike(logits, usual))
    certain = _unit(-entropy(logits.detach()))
    return torch.exp(diverse * certain / temperature), diverse >= diverse.mean()


def smoothed_prior(logits: Float[Tensor, "b c"]) -> Float[Tensor, "c"]:
    """The batch's mean prediction, smoothed towards uniform the more, the smaller the batch (ROID)."""
    prior = logits.detach().float().softmax(dim=1).mean(dim=0)
    rows, classes = logits.shape
    smooth = max(1 / rows, 1 / classes) / prior.max()
    return (prior + smooth) / (1 + smooth * classes)


def _unit(x: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
    return (x - x.min()) / (x.max() - x.min()).clamp_min(1e-12)
