"""Define the figures of a multi-label model in a record."""

from typing import ClassVar, Literal

from pydantic import Field

from hubtl.record import Facts, Figures, Group, Metric

PRIMARY = Metric(name="map", title="mAP")
TITLES = {"macro_f1": "macro F1", "micro_f1": "micro F1"}


class LabelScore(Facts):
    """Hold the figures of one class, with and without its threshold."""

    name: str
    n: int  # rows that have the class
    rows: int  # rows that are known to have it, or not
    ap: float | None  # average precision; None: every row has it, or none does
    f1: float | None
    precision: float | None  # None: never predicted
    recall: float | None  # None: no row has it
    predicted: int = 0  # rows above the threshold
    threshold: float = 0.5  # of the probability


class MultiLabelFigures(Figures):
    """Hold a multi-label model's figures; shares are 0..1, and None where not measured."""

    group: ClassVar[str] = "class"

    task: Literal["multi-label"] = "multi-label"
    map: float | None = None  # mean average precision over the classes that some rows have and others do not
    interval: tuple[float, float] | None = None  # of map, 95 %
    macro_f1: float | None = None  # at the thresholds, over the same classes
    micro_f1: float | None = None  # of all known cells
    constant_map: float | None = None  # of a model that says the same of every row
    missing_cells: int = 0  # of the scored rows, classes that they are not known to have or to lack
    per_class: list[LabelScore] = Field(default_factory=list)

    def primary(self) -> Metric:
        return PRIMARY.model_copy(update={"value": self.map, "interval": self.interval})

    def rows(self) -> list[Metric]:
        return [self.primary(), *(Metric(name=n, title=t, value=getattr(self, n)) for n, t in TITLES.items())]

    def brief(self) -> list[Metric]:
        return self.rows()[1:]

    def groups(self) -> list[Group]:
        titles = {"ap": "AP", "f1": "F1", "precision": "precision", "recall": "recall"}
        return [Group.of(score, titles) for score in self.per_class]

    def numbers(self) -> dict[str, float | int | None]:
        return {**super().numbers(), "constant_map": self.constant_map, "missing_cells": self.missing_cells}
