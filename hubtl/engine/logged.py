"""Sum the logs of updates since the last point of a curve.

Nothing is read from the device before ``means``.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch


class Logged:
    """Sum the scalars that updates log, by name."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._counted = 0

    def count(self, said: Mapping[str, torch.Tensor]) -> None:
        """Add the logs of one update."""
        for name, value in said.items():
            self._sums[name] = self._sums[name].to(value.device) + value if name in self._sums else value
        self._counted += 1

    def means(self) -> dict[str, float]:
        return {name: float(value) / self._counted for name, value in self._sums.items()}

    def state(self) -> dict[str, Any]:
        return {"sums": self._sums, "counted": self._counted}

    def load(self, state: Mapping[str, Any]) -> None:
        self._sums, self._counted = state["sums"], state["counted"]


def finite(means: Mapping[str, float]) -> bool:
    return all(math.isfinite(value) for value in means.values())
