"""Collecting logits and labels, for the figures of a classifier."""

from collections.abc import Sequence

import numpy as np
import torch

from hubtl.record import Evaluation
from hubtl.tasks.base import Meter
from hubtl.tasks.classification.measuring import figures_of


class ClassificationMeter(Meter):
    """Keeps the logits [n, c] of all rows: a calibration error needs them."""

    def __init__(self, classes: Sequence[str], unknown: int | None) -> None:
        self.classes, self.unknown = list(classes), unknown
        self.logits: list[torch.Tensor] = []
        self.labels: list[np.ndarray] = []

    def update(self, outputs: torch.Tensor, targets: np.ndarray | None) -> None:
        self.logits.append(outputs)
        if targets is not None:
            self.labels.append(targets)

    def result(self) -> Evaluation:
        logits = self.logits[0] if len(self.logits) == 1 else torch.cat(self.logits)
        labels = np.concatenate(self.labels) if self.labels else None
        return figures_of(logits, labels, self.classes, self.unknown)
