"""Label the target by several heads: confidence, agreement of modalities, fair class shares."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

SURE = 0.95  # probability from which no second modality has to agree
MINIMUM = 2  # modalities that have to agree


class Pseudo(NamedTuple):
    """Hold the pseudo labels of ``n`` target rows."""

    labels: Tensor  # [n]
    weight: Tensor  # [n]: the probability of the label, or 0 where it is not kept


def ensemble(joint: Tensor, heads: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
    """Return probabilities [n, c]: half the joint prediction, half the mean of the modalities'.

    Only present modalities count.
    """
    p = joint.float().softmax(dim=1)
    there = torch.stack([present[name] for name in heads]).float()[..., None]  # [m, n, 1]
    own = torch.stack([logits.float().softmax(dim=1) for logits in heads.values()])
    count = there.sum(dim=0)
    mean = (own * there).sum(dim=0) / count.clamp(min=1)
    return torch.where(count > 0, 0.5 * (p + mean), p)


def agreeing(labels: Tensor, heads: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
    """Return how many modalities of each row predict its label, [n]."""
    votes = [(logits.argmax(dim=1) == labels) & present[name] for name, logits in heads.items()]
    return torch.stack(votes).sum(dim=0)


def fair_share(labels: Tensor, confidence: Tensor, share: float, classes: int) -> Tensor:
    """Return the mask [n] of the most confident rows of each class.

    For a class with ``n_c`` rows these are the first ``share · min(n_c, n / c)``, rounded up. A class that is predicted
    more often than its even share gets no more than that; a rare one keeps its best.
    """
    keep = torch.zeros_like(labels, dtype=torch.bool)
    for c in range(classes):
        rows = (labels == c).nonzero()[:, 0]
        few = -(-share * min(len(rows), len(labels) / classes) // 1)
        order = confidence[rows].argsort(descending=True, stable=True)
        keep[rows[order[: int(few)]]] = True
    return keep


@torch.no_grad()
def pseudo_labels(
    joint: Tensor,
    heads: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
    share: float,
    *,
    agreement: bool = True,
) -> Pseudo:
    """Label a whole target set by all heads' logits [n, c].

    A row is kept if it is among the most confident ``share`` of its class. With ``agreement``, two of its modalities
    must also predict the label, or the ensemble must be nearly certain (0.95). With one modality the share alone
    decides.
    """
    p = ensemble(joint, heads, present)
    confidence, labels = p.max(dim=1)
    keep = fair_share(labels, confidence, share, p.shape[1])
    if agreement and len(heads) >= MINIMUM:
        keep &= (agreeing(labels, heads, present) >= MINIMUM) | (confidence >= SURE)
    return Pseudo(labels, confidence * keep)
