"""Compute losses of several modalities as pure functions; an absent modality costs nothing.

All compute in float32, whatever the autocast. ``mask`` [b] is True where the row has the modality.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from hubtl.losses import entropy
from hubtl.losses.conditional import certainty, outer, weighted_domain_loss
from hubtl_multimodal.fusion.presence import masked_mean

WIDEST = 4096  # of features times classes; beyond it the product is projected at random


def mean_of(terms: list[Tensor], like: Tensor) -> Tensor:
    """Return the mean of losses; zero, with a gradient of zero, without any."""
    return torch.stack(terms).mean() if terms else 0.0 * like.float().sum()


def cross_entropy(logits: Tensor, labels: Tensor, mask: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy of the rows in a mask. The mask may be weights in [0, 1]."""
    each = F.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=smoothing)
    return weighted_mean(each, mask)


def weighted_mean(each: Tensor, weight: Tensor) -> Tensor:
    """Return ``sum w x / max(1e-6, sum w)``."""
    w = weight.float()
    return (each * w).sum() / w.sum().clamp(min=1e-6)


def adversary(source: Tensor, target: Tensor, has_source: Tensor, has_target: Tensor) -> Tensor:
    """Return the binary cross-entropy of a critic's logits. Both domains weigh the same.

    Logits are of any shape, the masks of the same. It is zero where one domain is empty.
    """
    s, t = source.float(), target.float()
    ls = weighted_mean(F.softplus(-s), has_source)
    lt = weighted_mean(F.softplus(t), has_target)
    both = (has_source.any() & has_target.any()).float()
    return 0.5 * both * (ls + lt)


def told(source: Tensor, target: Tensor, has_source: Tensor, has_target: Tensor) -> Tensor:
    """Return the critic's accuracy within the masks, averaged over domains; 0.5 is chance."""
    return 0.5 * (masked_mean((source > 0).float(), has_source) + masked_mean((target <= 0).float(), has_target))


def token_adversary(local: tuple[Tensor, Tensor], masks: tuple[Tensor, Tensor], has: tuple[Tensor, Tensor]) -> Tensor:
    """Return ``adversary`` over tokens of source and target; rows weigh the same.

    Each argument is a pair: logits [b, t], their masks [b, t] and presence [b].
    """
    rows = [m & h[:, None] for m, h in zip(masks, has, strict=True)]
    share = [r.float() / r.float().sum(dim=1, keepdim=True).clamp(min=1) for r in rows]
    s, t = (x.float() for x in local)
    ls, lt = weighted_mean(F.softplus(-s), share[0]), weighted_mean(F.softplus(t), share[1])
    return 0.5 * (rows[0].any() & rows[1].any()).float() * (ls + lt)


def conditioned(features: Tensor, logits: Tensor, projections: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Return the input of a conditional critic: ``f ⊗ p``, ``p`` without gradient (arXiv:1705.10667).

    With projections [d, e] and [c, e], both fixed and standard normal, it is ``(f R_f) ⊙ (p R_p) / sqrt(e)``, whose
    inner products are those of ``f ⊗ p`` in expectation.
    """
    p = logits.detach().float().softmax(dim=1)
    if projections is None:
        return outer(features.float(), p)
    left, right = projections
    return (features.float() @ left) * (p @ right) / math.sqrt(left.shape[1])


def conditional_adversary(verdict: Tensor, logits: Tensor, source: int) -> Tensor:
    """Return CDAN-E's cross-entropy of a critic, source rows first, weighted by certainty."""
    return weighted_domain_loss(verdict, source, certainty(logits))


def mismatch(rows: int, device: torch.device) -> Tensor:
    """Return a partner for each row: the batch rolled by a random distance."""
    shift = int(torch.randint(1, rows, ())) if rows > 1 else 0
    return torch.arange(rows, device=device).roll(shift)


def different(labels: Tensor, partners: Tensor) -> Tensor:
    """Return the mask of source rows of another class than their partner: real negatives."""
    return labels != labels[partners]


def not_surely_alike(logits: Tensor, partners: Tensor, threshold: float = 0.8) -> Tensor:
    """Return the mask of target rows that may be negatives.

    Excluded are rows that are confidently of their partner's class.
    """
    best, label = logits.detach().float().softmax(dim=1).max(dim=1)
    sure = best > threshold
    return ~(sure & sure[partners] & (label == label[partners]))


def correspondence(
    matched: Tensor, mismatched: Tensor, has: tuple[Tensor, Tensor], partners: Tensor, negatives: Tensor
) -> Tensor:
    """Return the loss of matching two features of one row. It is that of arXiv:2001.09691.

    It is the binary cross-entropy of logits [b], both answers weighing the same. ``matched`` is of ``[z_m ; z_n]``,
    ``mismatched`` of ``[z_m ; z_n[partners]]``; ``has`` are both modalities' masks, and ``negatives`` [b] masks the
    mismatches that count (MM-SADA).
    """
    m, n = has
    yes, no = m & n, m & n[partners] & negatives
    return 0.5 * (weighted_mean(F.softplus(-matched.float()), yes) + weighted_mean(F.softplus(mismatched.float()), no))


def mimicry(teacher: Tensor, mimic: Tensor, mask: Tensor, threshold: float = 0.0) -> Tensor:
    """Return ``KL(p ‖ q)`` of a second head from the fused prediction (xMUDA, arXiv:1911.12676).

    The fused prediction gets no gradient. It is a mean over the rows in the mask, of which those below the confidence
    ``threshold`` cost nothing.
    """
    log_p = teacher.detach().float().log_softmax(dim=1)
    p = log_p.exp()
    each = (p * (log_p - mimic.float().log_softmax(dim=1))).sum(dim=1)
    return masked_mean(each * (p.max(dim=1).values > threshold), mask)


def prototype(features: Tensor, labels: Tensor, means: Tensor, weight: Tensor, temperature: float = 0.1) -> Tensor:
    """Return the weighted cross-entropy of cosines to class means. The means [c, d] are the source's."""
    cosines = F.normalize(features.float(), dim=1) @ F.normalize(means.float(), dim=1).T
    return cross_entropy(cosines / temperature, labels, weight)


def contrast(
    views: Mapping[str, Tensor], present: Mapping[str, Tensor], labels: Tensor, temperature: float = 0.1
) -> Tensor:
    """Return the supervised contrastive loss over all modalities' features (SimMMDG).

    Features [b, d] are normalised here. With the row numbers as ``labels`` it is InfoNCE between modalities. An anchor
    without a partner costs nothing.
    """
    z = F.normalize(torch.cat([v.float() for v in views.values()]), dim=1)
    there = torch.cat([present[name] for name in views])
    y = labels.repeat(len(views))
    others = ~torch.eye(len(z), dtype=torch.bool, device=z.device) & there[None]
    like = others & (y[:, None] == y[None])
    logits = (z @ z.T / temperature).masked_fill(~others, torch.finfo(z.dtype).min)
    log_share = logits - logits.logsumexp(dim=1, keepdim=True)
    each = -(log_share * like).sum(dim=1) / like.sum(dim=1).clamp(min=1)
    return masked_mean(each, there & like.any(dim=1))


def uncertainty(logits: Tensor) -> Tensor:
    """Return ``mean H(p) − H(mean p)``, the negative mutual information of predictions and inputs.

    Confident and diverse predictions score low.
    """
    log_p = logits.float().log_softmax(dim=1)
    mean = log_p.exp().mean(dim=0)
    entropies: Tensor = torch.special.entr(mean)
    return entropy(logits).mean() - entropies.sum()


@torch.no_grad()
def dominance(
    logits: Mapping[str, Tensor], labels: Tensor, present: Mapping[str, Tensor], alpha: float = 0.3
) -> dict[str, Tensor]:
    """Return gradient factors that slow down the fastest modality. It is OGM (arXiv:2203.15332).

    ``rho_m`` is its mean probability of the label over the mean of the others'; the factor is ``1 − tanh(alpha rho_m)``
    where ``rho_m > 1``, else 1.
    """
    names = list(logits)
    own = [masked_mean(logits[n].float().softmax(dim=1).gather(1, labels[:, None])[:, 0], present[n]) for n in names]
    scores = torch.stack(own)
    if len(names) < 2:
        return {n: torch.ones_like(s) for n, s in zip(names, scores, strict=True)}
    rest = (scores.sum() - scores) / (len(names) - 1)
    rho = scores / rest.clamp(min=1e-6)
    factor = torch.where(rho > 1, 1 - torch.tanh(alpha * rho), torch.ones_like(rho))
    return dict(zip(names, factor, strict=True))
