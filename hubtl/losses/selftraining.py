"""Losses of methods that learn from a model's own predictions, and the labels that those give."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hubtl.losses import entropy


def confident(logits: Float[Tensor, "b c"], threshold: float) -> tuple[Int[Tensor, "b"], Bool[Tensor, "b"]]:
    """The class of each row, and whether its probability reaches the threshold."""
    best, label = logits.float().softmax(dim=1).max(dim=1)
    return label, best >= threshold


def masked_cross_entropy(
    logits: Float[Tensor, "b c"], labels: Int[Tensor, "b"], mask: Bool[Tensor, "b"]
) -> Float[Tensor, ""]:
    """Cross-entropy of the rows in the mask, divided by the number of all rows: few sure rows weigh little."""
    return (F.cross_entropy(logits.float(), labels, reduction="none") * mask.float()).mean()


@torch.no_grad()
def aligned(target: Float[Tensor, "b c"], source: Float[Tensor, "n c"]) -> Float[Tensor, "b c"]:
    """Target probabilities whose classes are as frequent as the source's are: each class times the ratio of the two mean
    predictions, and the row normalised again (distribution alignment, AdaMatch, arXiv:2106.04732). No gradient."""
    p, q = target.float().softmax(dim=1), source.float().softmax(dim=1)
    scaled = p * (q.mean(dim=0) / p.mean(dim=0).clamp_min(1e-6))
    return scaled / scaled.sum(dim=1, keepdim=True).clamp_min(1e-12)


@torch.no_grad()
def relative_threshold(source: Float[Tensor, "n c"], share: float) -> Float[Tensor, ""]:
    """``share`` of the mean largest probability of labelled rows (AdaMatch)."""
    return share * source.float().softmax(dim=1).max(dim=1).values.mean()


def masked_soft_cross_entropy(
    logits: Float[Tensor, "b c"], labels: Float[Tensor, "b c"], mask: Bool[Tensor, "b"]
) -> Float[Tensor, ""]:
    """Cross-entropy against probabilities on the rows in the mask, divided by the number of all rows."""
    return -((labels * logits.float().log_softmax(dim=1)).sum(dim=1) * mask.float()).mean()


def spread(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Cross-entropy against the uniform distribution: ``(1 − s) · CE + s · spread`` is CE with label smoothing s."""
    return -logits.float().log_softmax(dim=1).mean()


def diversity(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Entropy of the batch's mean prediction: ``log c`` where all classes are predicted equally often."""
    mean = logits.float().softmax(dim=1).mean(dim=0)
    return torch.special.entr(mean.clamp_min(1e-12)).sum()


def information(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """``mean entropy − diversity``, the negative mutual information of rows and classes: sure and diverse is low."""
    return entropy(logits).mean() - diversity(logits)


def consistency(
    student: Float[Tensor, "b c"], teacher: Float[Tensor, "b c"], mask: Bool[Tensor, "b"]
) -> Float[Tensor, ""]:
    """Squared distance of the two softmaxes, zero outside the mask, averaged over all rows; no gradient to teacher."""
    gap = student.float().softmax(dim=1) - teacher.detach().float().softmax(dim=1)
    return (gap.square().sum(dim=1) * mask.float()).mean()


def class_balance(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Binary cross-entropy of the batch's mean prediction against the uniform one (self-ensembling, arXiv:1706.05208)."""
    c = logits.shape[1]
    mean = logits.float().softmax(dim=1).mean(dim=0).clamp(1e-7, 1 - 1e-7)
    return -(mean.log() / c + (1 - 1 / c) * (1 - mean).log()).mean()


@torch.no_grad()
def centroid_labels(
    features: Float[Tensor, "n d"], logits: Float[Tensor, "n c"], *, rounds: int = 2, min_count: int = 0
) -> Int[Tensor, "n"]:
    """Pseudo labels of SHOT: the class whose centroid is nearest by cosine.

    Features get a constant 1 appended and are normalised. The first round's centroids are means weighted by the
    softmax, those of later rounds are means of the rows labelled so. Only classes that the logits predict for more
    than ``min_count`` rows take part.
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
    """``−Σ_j p_i · s_j`` over each row's neighbours, averaged over rows (AaD, arXiv:2205.04183)."""
    return -(probabilities.float() * scores[neighbours].float().sum(dim=1)).sum(dim=1).mean()


def dispersion(probabilities: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """``Σ_{m≠i} p_i · p_m`` over the batch, averaged over rows (AaD)."""
    p = probabilities.float()
    return (p * (p.sum(dim=0) - p)).sum(dim=1).mean()


@torch.no_grad()
def neighbours(
    features: Float[Tensor, "b d"], bank: Float[Tensor, "n d"], index: Int[Tensor, "b"], k: int
) -> Int[Tensor, "b k"]:
    """The rows of the bank nearest by dot product to each feature, without the feature's own row ``index``."""
    with torch.autocast(features.device.type, enabled=False):
        near = features.float() @ bank.float().T
    near.scatter_(1, index[:, None], -torch.inf)
    return near.topk(min(k, near.shape[1] - 1), dim=1).indices
