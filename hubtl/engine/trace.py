"""What the loop returns."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Trace:
    """What a training left behind."""

    steps: int = 0
    seconds: float = 0.0
    curves: list[dict[str, float]] = field(default_factory=list)
    resumed: int = 0
    adjustments: list[dict[str, Any]] = field(default_factory=list)  # step, seen, done
