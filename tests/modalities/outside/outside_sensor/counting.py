"""The task: how many events a signal holds, a whole number from 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from hubtl import HubtlError, Task
from hubtl.data.labels import Labels
from hubtl.record import Evaluation, Figures, LabelSets, Metric, Outputs
from hubtl.tasks import Answer, Meter, Related

if TYPE_CHECKING:
    from torch import Tensor

MISSING = -1


def rates(outputs: "Tensor") -> "Tensor":
    """Return the expected counts [b] of outputs [b, 1]; a softplus stays finite where an exponential does not."""
    from torch.nn.functional import softplus

    return softplus(outputs[:, 0].float())


class CountFigures(Figures):
    """Hold the mean error of counts, and the share of exact ones."""

    group: ClassVar[str] = "count"
    task: Literal["event-count"] = "event-count"
    off: float | None = None
    exact: float | None = None

    def primary(self) -> Metric:
        return Metric(name="mean_error", value=self.off, unit="events", higher_is_better=False)

    def rows(self) -> list[Metric]:
        return [self.primary(), Metric(name="exact", value=self.exact)]


@dataclass(frozen=True)
class Count(Answer):
    """A line of ``hubtl predict``."""

    count: int
    rate: float

    def row(self, top: int = 1) -> dict[str, Any]:
        return {"input": self.input, "count": self.count, "rate": round(self.rate, 3)}


class CountMeter(Meter):
    """Collect batches of outputs [b, 1]."""

    def __init__(self) -> None:
        self.found: list[np.ndarray] = []
        self.truth: list[np.ndarray] = []

    def update(self, outputs: "Tensor", targets: np.ndarray | None) -> None:
        self.found.append(rates(outputs).cpu().numpy())
        if targets is not None:
            self.truth.append(targets)

    def result(self) -> Evaluation:
        found = np.concatenate(self.found)
        if not self.truth:
            return Evaluation(n=len(found), figures=CountFigures())
        truth = np.concatenate(self.truth)
        known = truth != MISSING
        off = np.abs(found.round() - truth)[known]
        figures = CountFigures(off=float(off.mean()), exact=float((off == 0).mean())) if known.any() else CountFigures()
        return Evaluation(n=int(known.sum()), unlabelled_rows=int((~known).sum()), figures=figures)


class EventCount(Task):
    """Learn counts by the likelihood of a Poisson distribution: a softplus of the output is its rate."""

    name = "event-count"
    Figures = CountFigures
    no_probabilities = "has one rate"
    picks = {
        ("adaptation", None): ("coral", "it reads features alone"),
        ("transfer", None): ("finetune", "the target is labelled"),
    }

    def find(self, dataset: Any, asked: Any, where: str, aside: str | None = None) -> tuple[list[str], list[str]]:
        name = asked or "events"
        if name in dataset.features:
            return [name], []
        if asked:
            raise HubtlError(f"{where} has no column {asked!r}", hint=f"one of: {', '.join(dataset.features)}")
        return [], []

    def read(
        self, parts: Sequence[Any], columns: Sequence[str], where: str, called: Sequence[str], known: Outputs | None
    ) -> Labels:
        values = [np.array([MISSING if v is None else v for v in part[columns[0]][:]], dtype=int) for part in parts]
        if min(int(split.min(initial=0)) for split in values) < MISSING:
            raise HubtlError(f"{where}: a count is negative", hint="--label-column NAME")
        return Labels(Outputs(names=["events"]), values)

    def present(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(labels != MISSING)

    def relate(
        self, source: Outputs | None, target: Outputs | None, *, called: str = "source", open_set: bool = False
    ) -> Related:
        return Related(Outputs(names=["events"]), LabelSets(setting="closed", shared=["events"]))

    def targets(self, labels: np.ndarray, own: Outputs, outputs: Outputs, other: int | None = None) -> np.ndarray:
        return labels

    def losses(self, outputs: "Tensor", labels: "Tensor") -> "Tensor":
        """Return the loss [b] of outputs [b, 1]; rows without a label count nothing."""
        from torch.nn.functional import poisson_nll_loss

        wanted = labels.clamp_min(0).to(outputs.dtype)
        return poisson_nll_loss(rates(outputs), wanted, log_input=False, reduction="none") * (labels != MISSING)

    def decode(self, names: Sequence[str], outputs: "Tensor") -> list[Answer]:
        found = rates(outputs).tolist()
        return [Count(name, round(rate), rate) for name, rate in zip(names, found, strict=True)]

    def meter(self) -> Meter:
        return CountMeter()

    def score(self, outputs: "Tensor", labels: np.ndarray) -> float:
        """Return 1 at best, 0 for an error like the mean count."""
        known = labels != MISSING
        off = np.abs(rates(outputs).cpu().numpy().round() - labels)[known]
        return float(1 - off.mean() / max(1.0, labels[known].mean()))

    def primary(self) -> Metric:
        return CountFigures().primary()
