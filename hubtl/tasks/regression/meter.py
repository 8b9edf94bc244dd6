"""Collecting predicted and true values, for the figures of a regression."""

from collections.abc import Callable

import numpy as np
import torch

from hubtl.record import Evaluation
from hubtl.tasks.base import Meter


class RegressionMeter(Meter):
    """Keeps the values of all rows: ranks and resampling need them. ``answers`` turns outputs [b, k] into values."""

    def __init__(
        self,
        answers: Callable[[torch.Tensor], torch.Tensor],
        measured: Callable[[np.ndarray, np.ndarray | None], Evaluation],
    ) -> None:
        self.answers, self.measured = answers, measured
        self.values: list[np.ndarray] = []
        self.truth: list[np.ndarray] = []

    def update(self, outputs: torch.Tensor, targets: np.ndarray | None) -> None:
        self.values.append(self.answers(outputs.float()).numpy())
        if targets is not None:
            self.truth.append(targets)

    def result(self) -> Evaluation:
        return self.measured(np.concatenate(self.values), np.concatenate(self.truth) if self.truth else None)
