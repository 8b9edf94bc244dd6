"""What a regression model says of one input."""

from dataclasses import dataclass, field
from typing import Any

from hubtl.io import jsontext
from hubtl.tasks.base import Answer


@dataclass(frozen=True)
class Estimate(Answer):
    """The predicted values, by the names of the outputs."""

    values: dict[str, float]
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)  # 90 %, of inputs like the source's alone

    @property
    def value(self) -> float:
        """The first of the values: the only one of most models."""
        return next(iter(self.values.values()))

    def row(self, top: int = 1) -> dict[str, Any]:
        found: dict[str, Any] = {"input": jsontext.whole(self.input)}
        for name, value in self.values.items():
            shown = jsontext.whole(name) if name != "input" else "input (predicted)"
            found[shown] = short(value)
            if name in self.interval:
                low, high = self.interval[name]
                found |= {f"{shown}_low": short(low), f"{shown}_high": short(high)}
        return found


def short(value: float) -> float:
    """A number without the digits that a float32 does not have."""
    return float(f"{value:.6g}")
