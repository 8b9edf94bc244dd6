"""One class per image."""

from typing import cast

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hubtl.errors import HubtlError
from hubtl.tasks import Task, TaskOptions


class ClassificationOptions(TaskOptions):
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="mass that the loss spreads over the other classes")


class Classification(Task):
    """Softmax cross-entropy over a closed set of classes."""

    Options = ClassificationOptions

    def head(self, width: int) -> nn.Linear:
        return nn.Linear(width, len(self.classes))

    def loss(self, logits: Tensor, labels: Tensor | None, weight: Tensor | None = None) -> Tensor:
        if labels is None:
            raise HubtlError(
                "a supervised loss was asked for on a sealed stream: its labels are not there",
                hint="compute it on the source stream, or use a strategy for a labelled target",
            )
        smoothing = cast(ClassificationOptions, self.options).label_smoothing
        if weight is None:
            return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
        each = F.cross_entropy(logits.float(), labels, label_smoothing=smoothing, reduction="none")
        return (weight * each).mean()
