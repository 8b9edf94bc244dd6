"""Define the figures of a classifier in a record."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, model_validator

from hubtl.record import Facts, Figures, Group, Metric

TITLES = {  # beside the primary one
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "ece": "expected calibration error",
    "hos": "H-score (HOS)",
    "known_recall": "recall of the known classes (OS*)",
    "unknown_recall": "recall of unknown",
}
PRIMARY = Metric(name="accuracy", proportion=True)
OPEN_SET = ("hos", "known_recall", "unknown_recall")


class ClassScore(Facts):
    name: str
    n: int  # rows of that class
    recall: float | None  # None: no rows
    precision: float | None  # None: never predicted
    f1: float | None


class ReliabilityBin(Facts):
    """Hold the rows of one bin of confidence."""

    confidence: float  # mean, 0..1
    accuracy: float
    n: int


class ClassificationFigures(Figures):
    """Hold a classifier's figures; shares are 0..1, and None where not measured."""

    group: ClassVar[str] = "class"

    task: Literal["classification"] = "classification"
    unknown_class_rows: int = 0  # rows besides, of classes that the model does not know: not scored
    accuracy: float | None = None
    balanced_accuracy: float | None = None
    macro_f1: float | None = None
    ece: float | None = None  # expected calibration error, 15 bins
    known_recall: float | None = None  # open-set runs: mean recall of the known classes (OS*)
    unknown_recall: float | None = None  # (UNK)
    hos: float | None = None  # harmonic mean of the two
    per_class: list[ClassScore] = Field(default_factory=list)
    confusion_cells: list[tuple[int, int, int]] = Field(default_factory=list)  # [truth, prediction, rows], rows > 0
    predicted_counts: list[int] = Field(default_factory=list)
    reliability: list[ReliabilityBin] = Field(default_factory=list)  # bins of equal width that have rows
    _right: list[bool] = PrivateAttr(default_factory=list)  # of each row, to compare two evaluations of the same rows

    @model_validator(mode="before")
    @classmethod
    def _from_matrix(cls, given: Any) -> Any:
        """Read the matrix of early records as its cells."""
        if not isinstance(given, Mapping) or "confusion" not in given:
            return given
        rest = {name: value for name, value in given.items() if name != "confusion"}
        cells = [(t, p, n) for t, row in enumerate(given["confusion"]) for p, n in enumerate(row) if n]
        return {"confusion_cells": cells, **rest}

    def primary(self) -> Metric:
        return self._metric("accuracy")

    def rows(self) -> list[Metric]:
        open_set = OPEN_SET if any(getattr(self, name) is not None for name in OPEN_SET) else ()
        return [self._metric(name) for name in ("accuracy", "balanced_accuracy", "macro_f1", "ece", *open_set)]

    def headline(self) -> list[Metric]:
        return [self._metric("hos")] if self.hos is not None or self.known_recall is not None else []

    def brief(self) -> list[Metric]:
        return [self._metric("macro_f1"), self._metric("ece").model_copy(update={"title": "calibration error"})]

    def groups(self) -> list[Group]:
        titles = {"recall": "recall", "precision": "precision", "f1": "F1"}
        return [Group.of(score, titles) for score in self.per_class]

    def unscored(self) -> dict[str, int]:
        return {"of unknown classes": self.unknown_class_rows} if self.unknown_class_rows else {}

    def numbers(self) -> dict[str, float | int | None]:
        return {"unknown_class_rows": self.unknown_class_rows, **super().numbers()}

    def _metric(self, name: str) -> Metric:
        value, better = getattr(self, name), name != "ece"
        return PRIMARY.model_copy(update={"value": value}) if name == "accuracy" else Metric(
            name=name, title=TITLES[name], value=value, higher_is_better=better
        )  # fmt: skip

    @property
    def confusion(self) -> list[list[int]]:
        """Return the whole confusion matrix, rows: truth, columns: prediction; empty if not measured."""
        return self.confusion_among(range(len(self.per_class))) if self.confusion_cells else []

    def confusion_among(self, classes: Sequence[int]) -> list[list[int]]:
        """Return the confusion matrix of some classes, in that order.

        The whole matrix of many classes is large.
        """
        place = {number: at for at, number in enumerate(classes)}
        matrix = [[0] * len(place) for _ in place]
        for truth, predicted, rows in self.confusion_cells:
            if truth in place and predicted in place:
                matrix[place[truth]][place[predicted]] = rows
        return matrix
