"""Ordinal labels: one output a step of the order, each saying that a row is above it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from hubtl.data.labels import Labels
from hubtl.errors import HubtlError
from hubtl.record import Evaluation, Figures, Group, LabelSets, Metric, Outputs
from hubtl.tasks import Answer, Meter, Related, Task

if TYPE_CHECKING:
    from torch import Tensor

MISSING = -1


class RankFigures(Figures):
    """By how many steps the answers are off."""

    group: ClassVar[str] = "rank"

    task: Literal["ranks"] = "ranks"
    steps_off: float | None = None
    exact: float | None = None
    by_rank: dict[str, list[float]] = {}  # rank -> [rows, steps off]

    def primary(self) -> Metric:
        return Metric(name="steps_off", value=self.steps_off, unit="steps", higher_is_better=False)

    def rows(self) -> list[Metric]:
        return [self.primary(), Metric(name="exact", value=self.exact)]

    def groups(self) -> list[Group]:
        metric = self.primary()
        return [
            Group(name=name, n=int(n), metrics=[metric.model_copy(update={"value": off})])
            for name, (n, off) in self.by_rank.items()
        ]


@dataclass(frozen=True)
class Rank(Answer):
    rank: str

    def row(self, top: int = 1) -> dict[str, Any]:
        return {"input": self.input, "rank": self.rank}


class RankMeter(Meter):
    def __init__(self, names: Sequence[str]) -> None:
        self.names, self.found, self.truth = list(names), [], []

    def update(self, outputs: "Tensor", targets: np.ndarray | None) -> None:
        self.found.append((outputs > 0).sum(dim=1).numpy())
        if targets is not None:
            self.truth.append(targets)

    def result(self) -> Evaluation:
        found = np.concatenate(self.found)
        if not self.truth:
            return Evaluation(n=len(found), figures=RankFigures())
        truth = np.concatenate(self.truth)
        known = truth != MISSING
        off = np.abs(found - truth)[known]
        by_rank = {
            str(r): [float((truth == r).sum()), float(off[truth[known] == r].mean())] for r in np.unique(truth[known])
        }
        figures = RankFigures(steps_off=float(off.mean()), exact=float((off == 0).mean()), by_rank=by_rank)
        return Evaluation(n=int(known.sum()), unlabelled_rows=int((~known).sum()), figures=figures)


class Ranks(Task):
    """Binary cross-entropy of each step of the order."""

    name = "ranks"
    Figures = RankFigures
    kind = "ranking"
    picks = {("adaptation", None): ("coral", "it reads features alone"), ("transfer", None): ("finetune", "labelled")}

    def find(self, dataset: Any, asked: Any, where: str, aside: str | None = None) -> tuple[list[str], list[str]]:
        name = asked or "label"
        return ([name] if name in dataset.features else []), []

    def read(
        self, parts: Sequence[Any], columns: Sequence[str], where: str, called: Sequence[str], known: Outputs | None
    ) -> Labels:
        values = [
            np.array([MISSING if v is None else int(v) for v in p.with_format(None)[columns[0]][:]]) for p in parts
        ]
        most = max(int(v.max()) for v in values)
        if most < 1:
            raise HubtlError(f"{where}: one rank alone", hint="other data")
        return Labels(Outputs(names=[f"above {n}" for n in range(most)]), values)

    def present(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(labels != MISSING)

    def relate(
        self, source: Outputs | None, target: Outputs | None, *, called: str = "source", open_set: bool = False
    ) -> Related:
        outputs = source or target
        assert outputs is not None
        return Related(outputs, LabelSets(setting="unknown" if target is None else "closed", shared=outputs.names))

    def targets(self, labels: np.ndarray, own: Outputs, outputs: Outputs, other: int | None = None) -> np.ndarray:
        return labels

    def losses(self, outputs: "Tensor", labels: "Tensor") -> "Tensor":
        import torch
        import torch.nn.functional as F

        above = (labels.unsqueeze(1) > torch.arange(outputs.shape[1], device=labels.device)).float()
        return F.binary_cross_entropy_with_logits(outputs, above, reduction="none").mean(dim=1)

    def decode(self, names: Sequence[str], outputs: "Tensor") -> list[Answer]:
        return [Rank(name, str(int(n))) for name, n in zip(names, (outputs > 0).sum(dim=1), strict=True)]

    def meter(self) -> Meter:
        return RankMeter(self.outputs.names)

    def score(self, outputs: "Tensor", labels: np.ndarray) -> float:
        return float(((outputs > 0).sum(dim=1).numpy() == labels).mean())

    def primary(self) -> Metric:
        return RankFigures().primary()
