"""Define a regression model's answer for one input."""

import math
from dataclasses import dataclass, field
from typing import Any

from hubtl.card.wording import significant
from hubtl.io import jsontext
from hubtl.tasks.base import Answer, Said


@dataclass(frozen=True)
class Estimate(Answer):
    """Hold the predicted values, by the names of the outputs."""

    values: dict[str, float]
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)  # 90 %, of inputs like the source's alone

    units: dict[str, str] = field(default_factory=dict)  # of those that have one

    @property
    def value(self) -> float:
        """Return the first value: the only one of most models."""
        return next(iter(self.values.values()))

    def row(self, top: int = 1) -> dict[str, Any]:
        found: dict[str, Any] = {"input": jsontext.whole(self.input)}
        for name, value in self.values.items():
            shown = jsontext.whole(name) if name != "input" else "input (predicted)"
            found[shown] = short(value)
            if name in self.interval:
                low, high = self.interval[name]
                found |= {f"{shown}_low": short(low), f"{shown}_high": short(high)}
            if name in self.units:
                found[f"{shown}_unit"] = self.units[name]
        return found

    def table(self, top: int = 1) -> dict[str, Any]:
        """Return columns with units in their heads. Values are rounded to the precision of the interval."""
        found: dict[str, Any] = {"input": jsontext.whole(self.input)}
        for name in self.values:
            shown = jsontext.whole(name) if name != "input" else "input (predicted)"
            value, *ends = self._written(name)
            found[with_unit(shown, self.units.get(name, ""))] = value
            found |= dict(zip((f"{shown}_low", f"{shown}_high"), ends, strict=False))
        return found

    def said(self) -> list[Said]:
        found = []
        for name in self.values:
            value, *ends = (text.replace("-", "−") for text in self._written(name))
            unit = f" {self.units[name]}" if name in self.units else ""
            found.append(Said(name, f"{value}{unit}", f"90% interval {' to '.join(ends)}" if ends else ""))
        return found

    def _written(self, name: str) -> list[str]:
        """Return a value and its interval's ends, rounded. The unit of rounding is a tenth of its half-width or finer."""
        value, ends = self.values[name], self.interval.get(name)
        half = 0.0 if ends is None else (ends[1] - ends[0]) / 2
        if ends is None or not math.isfinite(half) or half < 1e-4 or max(map(abs, ends)) >= 10**15:
            return [significant(number).replace(",", "").replace("−", "-") for number in (value, *(ends or ()))]
        places = max(0, 1 - math.floor(math.log10(half)))
        return [f"{number:.{places}f}" for number in (value, *ends)]


def with_unit(name: str, unit: str) -> str:
    """Return an output's name with its unit: ``angle (degrees)``."""
    return f"{name} ({unit})" if unit else name


def short(value: float) -> float:
    """Return a number without the digits that a float32 does not have."""
    return float(f"{value:.6g}")
