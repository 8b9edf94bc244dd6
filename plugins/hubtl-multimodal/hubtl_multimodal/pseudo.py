"""Labels for the target from several heads: how sure the ensemble is, whether modalities agree, a fair share of each class."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

SURE = 0.95  # probability from which no second modality has to agree
MINIMUM = 2  # modalities that have to agree


class Pseudo(NamedTuple):
    """Of ``n`` target rows."""

    labels: Tensor  # [n]
    weight: Tensor  # [n]: the probability of the label, or 0 where it is not kept


def ensemble(joint: Tensor, heads: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
    """Half the joint prediction, half the mean of those of the modalities that are there: probabilities [n, c]."""
    p = joint.float().softmax(dim=1)
    there = torch.stack([present[name] for name in heads]).float()[..., None]  # [m, n, 1]
    own = torch.stack([logits.float().softmax(dim=1) for logits in heads.values()])
    count = there.sum(dim=0)
    mean = (own * there).sum(dim=0) / count.clamp(min=1)
    return torch.where(count > 0, 0.5 * (p + mean), p)


def agreeing(labels: Tensor, heads: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
    """How many of the modalities that a row has predict its label, [n]."""
    votes = [(logits.argmax(dim=1) == labels) & present[name] for name, logits in heads.items()]
    return torch.stack(votes).sum(dim=0)


def fair_share(labels: Tensor, confidence: Tensor, share: float, classes: int) -> Tensor:
    """The surest rows of each class, [n] bool: of a class with ``n_c`` rows the first ``share · min(n_c, n / c)``, rounded up.

    A class that is predicted more often than its even share gets no more than that; one that is rare keeps its best.
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
    """Labels of a whole target set from the logits of all heads [n, c].

    A row is kept where it is among the surest ``share`` of its class and, with ``agreement``, two of the modalities that
    it has predict the label too, or the ensemble is as good as certain of it (0.95). A model of one modality has nothing
    to agree with: the share alone decides.
    """
    p = ensemble(joint, heads, present)
    confidence, labels = p.max(dim=1)
    keep = fair_share(labels, confidence, share, p.shape[1])
    if agreement and len(heads) >= MINIMUM:
        keep &= (agreeing(labels, heads, present) >= MINIMUM) | (confidence >= SURE)
    return Pseudo(labels, confidence * keep)
