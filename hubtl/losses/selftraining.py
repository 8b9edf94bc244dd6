"""Compute self-training losses, and pseudo labels from a model's own predictions."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hubtl.losses import entropy


def confident(logits: Float[Tensor, "b c"], threshold: float) -> tuple[Int[Tensor, "b"], Bool[Tensor, "b"]]:
    """Return each row's predicted class, and whether it reaches a threshold.

    The threshold is on the class's probability.

    Args:
        logits: logits [b, c].
        threshold: the least probability of a confident prediction.

    Returns:
        Classes [b] and a mask [b].
    """
    best, label = logits.float().softmax(dim=1).max(dim=1)
    return label, best >= threshold


def masked_cross_entropy(
    logits: Float[Tensor, "b c"], labels: Int[Tensor, "b"], mask: Bool[Tensor, "b"]
) -> Float[Tensor, ""]:
    """Return the masked rows' cross-entropy, divided by the number of rows. All rows count in that number.

    A batch with few confident rows hence weighs little.

    Args:
        logits: logits [b, c].
        labels: classes [b].
        mask: True [b] for rows that count.
    """
    return (F.cross_entropy(logits.float(), labels, reduction="none") * mask.float()).mean()


@torch.no_grad()
def aligned(target: Float[Tensor, "b c"], source: Float[Tensor, "n c"]) -> Float[Tensor, "b c"]:
    """Return target probabilities with the class frequencies of the source, without gradient.

    Each class is multiplied by the ratio of the two mean predictions, and each row is normalised again (distribution
    alignment, AdaMatch, arXiv:2106.04732).

    Args:
        target: probabilities [b, c] on target rows.
        source: probabilities [n, c] on source rows.
    """
    p, q = target.float().softmax(dim=1), source.float().softmax(dim=1)
    scaled = p * (q.mean(dim=0) / p.mean(dim=0).clamp_min(1e-6))
    return scaled / scaled.sum(dim=1, keepdim=True).clamp_min(1e-12)


@torch.no_grad()
def relative_threshold(source: Float[Tensor, "n c"], share: float) -> Float[Tensor, ""]:
    """Return ``share`` of the mean largest probability of labelled rows (AdaMatch).

    Args:
        source: probabilities [n, c] on labelled rows.
        share: the factor, between 0 and 1.
    """
    return share * source.float().softmax(dim=1).max(dim=1).values.mean()


def masked_soft_cross_entropy(
    logits: Float[Tensor, "b c"], labels: Float[Tensor, "b c"], mask: Bool[Tensor, "b"]
) -> Float[Tensor, ""]:
    """Return the cross-entropy against probabilities on the rows in a mask.

    The sum is divided by the number of all rows.

    Args:
        logits: logits [b, c].
        labels: class probabilities [b, c].
        mask: True [b] for rows that count.
    """
    return -((labels * logits.float().log_softmax(dim=1)).sum(dim=1) * mask.float()).mean()


def spread(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Return the cross-entropy against the uniform distribution.

    ``(1 − s) · CE + s · spread`` is cross-entropy with label smoothing s.
    """
    return -logits.float().log_softmax(dim=1).mean()


def diversity(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Return the entropy of the batch's mean prediction; ``log c`` for evenly predicted classes."""
    mean = logits.float().softmax(dim=1).mean(dim=0)
    entropies: Tensor = torch.special.entr(mean.clamp_min(1e-12))
    return entropies.sum()


def information(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Return ``mean entropy − diversity``, the negative mutual information of rows and classes.

    It is low where predictions are confident and diverse.
    """
    return entropy(logits).mean() - diversity(logits)


def consistency(
    student: Float[Tensor, "b c"], teacher: Float[Tensor, "b c"], mask: Bool[Tensor, "b"]
) -> Float[Tensor, ""]:
    """Return the squared distance of two softmax outputs, averaged over all rows.

    Args:
        student: logits [b, c] that learn.
        teacher: logits [b, c] that get no gradient.
        mask: True [b] for rows that count; the others are zero.
    """
    gap = student.float().softmax(dim=1) - teacher.detach().float().softmax(dim=1)
    return (gap.square().sum(dim=1) * mask.float()).mean()


def class_balance(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Return the binary cross-entropy of the mean prediction against the uniform one.

    Source: self-ensembling, arXiv:1706.05208.
    """
    c = logits.shape[1]
    mean = logits.float().softmax(dim=1).mean(dim=0).clamp(1e-7, 1 - 1e-7)
    return -(mean.log() / c + (1 - 1 / c) * (1 - mean).log()).mean()


@torch.no_grad()
def centroid_labels(
    features: Float[Tensor, "n d"], logits: Float[Tensor, "n c"], *, rounds: int = 2, min_count: int = 0
) -> Int[Tensor, "n"]:
    """Return SHOT's pseudo labels: the class of the nearest centroid, by cosine.

    Features get a constant 1 appended and are normalised. The first round's centroids are means weighted by the
    softmax; later rounds take the means of the rows that have that label.

    Args:
        features: features [n, d] of the whole target.
        logits: logits [n, c] of the same rows.
        rounds: rounds of centroid computation and labelling.
        min_count: only classes that are predicted for more rows than this take part.

    Returns:
        Labels [n].
    """
    ones = torch.ones(len(features), 1, device=features.device)
    rows = F.normalize(torch.cat([features.float(), ones], dim=1), dim=1)
    weights = logits.float().softmax(dim=1)
    c = logits.shape[1]
    alive = logits.argmax(dim=1).bincount(minlength=c) > min_count
    labels = logits.argmax(dim=1)
    if not alive.any():
        return labels
    with torch.autocast(features.device.type, enabled=False):
        for _ in range(rounds):
            centroids = F.normalize(weights.T @ rows, dim=1)  # the sums: a cosine does not see their length
            near = (rows @ centroids.T).masked_fill(~alive, -torch.inf)
            labels = near.argmax(dim=1)
            weights = F.one_hot(labels, c).float()
    return labels


def attraction(
    probabilities: Float[Tensor, "b c"], neighbours: Int[Tensor, "b k"], scores: Float[Tensor, "n c"]
) -> Float[Tensor, ""]:
    """Return AaD's attraction ``−Σ_j p_i · s_j`` of rows to their neighbours (arXiv:2205.04183).

    The sum is over each row's neighbours, the mean over rows.

    Args:
        probabilities: probabilities [b, c] of the batch.
        neighbours: positions [b, k] of each row's neighbours in the memory bank.
        scores: probabilities [n, c] in the memory bank.
    """
    return -(probabilities.float() * scores[neighbours].float().sum(dim=1)).sum(dim=1).mean()


def dispersion(probabilities: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Return AaD's dispersion ``Σ_{m≠i} p_i · p_m`` over the batch, averaged over rows."""
    p = probabilities.float()
    return (p * (p.sum(dim=0) - p)).sum(dim=1).mean()


@torch.no_grad()
def neighbours(
    features: Float[Tensor, "b d"], bank: Float[Tensor, "n d"], index: Int[Tensor, "b"], k: int
) -> Int[Tensor, "b k"]:
    """Return each feature's k nearest rows of a memory bank. Nearness is the dot product.

    Args:
        features: features [b, d] of the batch.
        bank: features [n, d] of the memory bank.
        index: positions [b] of the batch's own rows in the bank; they are left out.
        k: the number of neighbours.
    """
    with torch.autocast(features.device.type, enabled=False):
        near = features.float() @ bank.float().T
    near.scatter_(1, index[:, None], -torch.inf)
    return near.topk(min(k, near.shape[1] - 1), dim=1).indices
