"""Keep outputs and labels of all rows. Some figures need them together."""

from collections.abc import Callable

import numpy as np
import torch

from hubtl.record import Evaluation
from hubtl.tasks.parts import Meter


class Gathered(Meter):
    """Keep the outputs [n, k] of all rows: ranks, calibration errors and resampling need them.

    ``measured`` computes the figures from them and the labels [n, …]; None: the rows have none.
    """

    def __init__(self, measured: Callable[[torch.Tensor, np.ndarray | None], Evaluation]) -> None:
        self.measured = measured
        self.outputs: list[torch.Tensor] = []
        self.labels: list[np.ndarray] = []

    def update(self, outputs: torch.Tensor, targets: np.ndarray | None) -> None:
        self.outputs.append(outputs)
        if targets is not None:
            self.labels.append(targets)

    def result(self) -> Evaluation:
        outputs = self.outputs[0] if len(self.outputs) == 1 else torch.cat(self.outputs)
        return self.measured(outputs, np.concatenate(self.labels) if self.labels else None)
