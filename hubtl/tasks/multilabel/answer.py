"""Define a multi-label model's answer for one input."""

from dataclasses import dataclass, field
from typing import Any

from hubtl.io import jsontext
from hubtl.tasks.base import Answer, Bar, Said


@dataclass(frozen=True)
class LabelledAs(Answer):
    """Hold the classes above their thresholds, and the probability of each class."""

    labels: list[str]  # the most probable one first
    probabilities: dict[str, float]
    thresholds: dict[str, float] = field(default_factory=dict)  # above which a class is among the labels

    @property
    def label(self) -> str:
        """Return the labels as one text."""
        return ", ".join(self.labels)

    percent = ("probability_",)

    def row(self, top: int = 1) -> dict[str, Any]:
        """Return the lists ``labels`` and ``probabilities`` of a row.

        For ``top`` > 1 the most probable classes come with them.
        """
        found: dict[str, Any] = {
            "input": jsontext.whole(self.input),
            "labels": [jsontext.whole(name) for name in self.labels],
            "probabilities": [round(self.probabilities[name], 4) for name in self.labels],
        }
        best = sorted(self.probabilities.items(), key=lambda item: -item[1])[: top if top > 1 else 0]
        for place, (name, p) in enumerate(best, 1):
            found |= {f"label_{place}": jsontext.whole(name), f"probability_{place}": round(p, 6)}
        return found

    def said(self) -> list[Said]:
        return [Said("", self.label or "none")]

    def bars(self) -> list[Bar]:
        best = sorted(self.probabilities.items(), key=lambda item: -item[1])
        return [Bar(name, p, self.thresholds.get(name, 0.5)) for name, p in best]
