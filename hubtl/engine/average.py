"""Average the weights of a phase; the average is evaluated and saved in place of the last ones."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hubtl.strategy import Strategy


def exponent(width: float) -> float:
    """Return ``γ`` of the profile ``t^γ`` whose standard deviation is ``width``. The unit is all updates.

    0 < width ≤ 0.28. ``γ`` is the largest root of ``(γ + 1) / ((γ + 2)² (γ + 3)) = width²``; 0 is the mean of all
    updates.
    """
    inverse = width**-2
    return float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max())


class WeightAverage:
    """Keep the power-function average of Karras et al. (arXiv:2312.02696, §3).

    The update ``s`` of ``t`` weighs ``s^γ``. The average forgets in proportion to the length of training, so one
    ``width`` suits runs of any length, and the initial weights of a phase do not enter. It covers the parameters that
    learn and the statistics of the BatchNorms among them. Other state of a strategy, such as a bank of features, is not
    averaged.
    """

    def __init__(self, strategy: Strategy, learning: Iterable[nn.Parameter], width: float) -> None:
        self.gamma = exponent(width)
        norms = [m for m in strategy.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
        statistics = [b for m in norms for b in (m.running_mean, m.running_var) if b is not None]
        self._live: list[Tensor] = [*learning, *statistics]
        self._mean = [live.detach().float().clone() for live in self._live]
        self._updates = 0

    @torch.no_grad()
    def begin(self) -> None:
        """Forget all updates so far: until the next one the average equals the weights."""
        self._updates = 0
        for live, mean in zip(self._live, self._mean, strict=True):
            mean.copy_(live)

    @torch.no_grad()
    def update(self) -> None:
        """Include the weights after an update."""
        self._updates += 1
        new = 1 - (1 - 1 / self._updates) ** (self.gamma + 1)
        torch._foreach_lerp_(self._mean, [live.detach().float() for live in self._live], new)

    @torch.no_grad()
    def exchange(self) -> None:
        """Swap the average and the weights."""
        for live, mean in zip(self._live, self._mean, strict=True):
            held = live.detach().float().clone()
            live.copy_(mean)
            mean.copy_(held)

    def state(self) -> dict[str, Any]:
        return {"updates": self._updates, "mean": [mean.cpu() for mean in self._mean]}

    def load(self, state: dict[str, Any]) -> None:
        self._updates = state["updates"]
        for mean, saved in zip(self._mean, state["mean"], strict=True):
            mean.copy_(saved)
