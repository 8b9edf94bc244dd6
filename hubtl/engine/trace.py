"""Define the result of the loop."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Trace:
    """Hold the result of a training: curves, times and adjustments."""

    steps: int = 0
    seconds: float = 0.0
    curves: list[dict[str, float]] = field(default_factory=list)
    resumed: int = 0
    adjustments: list[dict[str, Any]] = field(default_factory=list)  # step, seen, done
