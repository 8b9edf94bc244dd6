"""Define a classifier's answer for one input."""

from dataclasses import dataclass
from typing import Any

from hubtl.io import jsontext
from hubtl.tasks.base import Answer


@dataclass(frozen=True)
class Prediction(Answer):
    """Hold the predicted class, and the probability of each class."""

    label: str
    index: int
    confidence: float
    probabilities: dict[str, float]

    percent = ("confidence",)

    def row(self, top: int = 1) -> dict[str, Any]:
        found: dict[str, Any] = {
            "input": jsontext.whole(self.input),
            "label": jsontext.whole(self.label),
            "confidence": round(self.confidence, 6),
        }
        best = sorted(self.probabilities.items(), key=lambda item: -item[1])[:top]
        for place, (name, p) in enumerate(best[1:], 2):
            found |= {f"label_{place}": jsontext.whole(name), f"confidence_{place}": round(p, 6)}
        return found

    def probabilities_of(self) -> dict[str, float]:
        return self.probabilities
