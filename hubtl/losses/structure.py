"""Compute losses on the structure of a batch of predictions.

All compute in float32, whatever the autocast.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from hubtl.losses import entropy


def mean_singular_value(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Return ``‖softmax(logits)‖_* / min(b, c)``, BNM's mean singular value (arXiv:2003.12237).

    It is large where predictions are confident and diverse.
    """
    with torch.autocast(logits.device.type, enabled=False):
        mean: Tensor = torch.linalg.svdvals(logits.float().softmax(dim=1)).mean()
        return mean


def diversity(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Return the entropy of the batch's mean prediction, in nats.

    It is large where all classes are predicted equally often.
    """
    with torch.autocast(logits.device.type, enabled=False):
        log_p = logits.float().log_softmax(dim=1)
        log_mean = log_p.logsumexp(dim=0) - torch.tensor(float(len(logits)), device=logits.device).log()
        return -(log_mean.exp() * log_mean).sum()


def mutual_information(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Return ``H(mean p) − mean H(p)``, in nats; between 0 and ``ln c``.

    It estimates the mutual information of inputs and predictions.
    """
    return diversity(logits) - entropy(logits).mean()
