"""Tent: entropy minimisation at test time."""

from typing import Any

from torch import Tensor

from hubtl.losses import entropy
from hubtl.testtime.base import Learning


class Tent(Learning):
    """Minimise the prediction entropy by the normalisation layers' scales and shifts.

    ``L = mean_i H(softmax(y_i))``, one step of Adam for each batch.

    BatchNorm uses the statistics of the batch, everything else is in eval mode. Deviation: the reference keeps the
    model in train mode, dropout and stochastic depth included; here a guard restores the source on collapse.
    """

    paper = "arXiv:2006.10726"

    def update(self, inputs: Any, logits: Tensor) -> None:
        self.descend(entropy(logits).mean())
        self.stats.learnt += len(logits)
