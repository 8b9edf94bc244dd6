"""Collecting logits and labels, for the figures of a multi-label model."""

from collections.abc import Sequence

import numpy as np
import torch

from hubtl.record import Evaluation
from hubtl.tasks.base import Meter
from hubtl.tasks.multilabel.measuring import figures_of


class MultiLabelMeter(Meter):
    """Keeps the logits [n, c] of all rows: an average precision needs them ranked."""

    def __init__(self, classes: Sequence[str], thresholds: np.ndarray) -> None:
        self.classes, self.thresholds = list(classes), thresholds
        self.logits: list[torch.Tensor] = []
        self.labels: list[np.ndarray] = []

    def update(self, outputs: torch.Tensor, targets: np.ndarray | None) -> None:
        self.logits.append(outputs)
        if targets is not None:
            self.labels.append(targets)

    def result(self) -> Evaluation:
        labels = np.concatenate(self.labels) if self.labels else None
        return figures_of(chances(torch.cat(self.logits)), labels, self.classes, self.thresholds)


def chances(outputs: torch.Tensor) -> np.ndarray:
    """The probability of each class [n, c], as float64: logits that differ stay apart up to about 36."""
    found: np.ndarray = outputs.double().sigmoid().numpy()
    return found
