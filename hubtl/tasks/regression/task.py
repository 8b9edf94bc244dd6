"""Define regression: one number for each input or several, in the labels' own units."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from pydantic import Field

from hubtl.errors import HubtlError
from hubtl.record import Evaluation, LabelSets, Metric, Outputs, RunRecord
from hubtl.tasks.base import FLOOR, Answer, Meter, Related, Task, TaskOptions
from hubtl.tasks.parts import names_in
from hubtl.tasks.regression import words
from hubtl.tasks.regression.answer import Estimate
from hubtl.tasks.regression.figures import RegressionFigures, metric

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hubtl.data.labels import Labels

LEVEL = 0.90  # of the prediction intervals
CONSTANT = 0.05  # of the labels' standard deviation: outputs that spread less are all one answer


class RegressionOptions(TaskOptions):
    loss: Literal["mse", "l1", "huber", "pinball"] = Field(
        "mse", description="loss of the standardised outputs: squared, absolute, Huber, or pinball (a quantile's)"
    )
    delta: float = Field(1.0, gt=0, description="huber: largest error that is squared, in standard deviations")
    quantile: float = Field(0.5, gt=0, lt=1, description="pinball: quantile to predict; 0.5: the median")
    unit: str = Field("", max_length=100, description="unit of the labels, for metrics; several separated by commas")


class Regression(Task):
    """Predict numbers; they are learnt standardised by the labels of the training rows.

    During training the model's outputs are ``(y − location) / scale``. Figures, answers and the saved model are in the
    labels' own units: location and scale are folded into the last layer on export.
    """

    name = "regression"
    Options = RegressionOptions
    Figures = RegressionFigures
    kind = "regression"
    metrics = {"mae": "mae", "rmse": "rmse", "r2": "r_squared", "spearman": "spearmanr"}
    picks = words.PICKS
    captions = words.CAPTIONS
    scores_said = {
        "dev": "minus the loss on the target, as estimated from the source",
        "source-score": "R² on the source, 1 at best",
    }
    printed = "answer.values, answer.interval"
    problem_type = "regression"
    augments = False
    rankers = ("logme", "linear-probe")
    head_defaults = {"optim.clip_norm": 1.0}  # frozen features are of any scale, and squares of errors grow with it
    scaling: tuple[np.ndarray, np.ndarray] | None = None  # location and scale [k]; None: outputs are in units already
    constant = 1.0  # the loss of the best constant answer

    # labels

    def find(self, dataset: Any, asked: Any, where: str, aside: str | None = None) -> tuple[list[str], list[str]]:
        from hubtl.tasks.regression.columns import label_columns

        return label_columns(dataset, asked, where, aside=aside, own=self.outputs.names)

    def offer(self, dataset: Any) -> tuple[list[str], dict[str, str]]:
        from hubtl.tasks.regression.columns import offer

        return offer(dataset), {}

    def read(
        self, parts: Sequence[Any], columns: Sequence[str], where: str, called: Sequence[str], known: Outputs | None
    ) -> "Labels":
        from hubtl.tasks.regression.reading import read

        return read(parts, columns, where, called, known)

    def present(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(np.isfinite(labels).any(axis=1))

    def check_source(self, labels: np.ndarray, outputs: Outputs, where: str) -> dict[str, int]:
        """Count the labels of each output.

        Raises:
            HubtlError: where they are constant, since nothing can be learnt from them.
        """
        from hubtl.data.names import seen

        for name, column in zip(outputs.names, labels.T, strict=True):
            known = column[np.isfinite(column)]
            if not len(known) or np.ptp(known) == 0:
                what = f"is {known[0]:g} in all training rows" if len(known) else "has no label in the training rows"
                raise HubtlError(
                    f"{where}: column {seen(name, exact=True)} {what}: there is nothing to learn from it",
                    hint="--label-column for other columns, or other rows",
                )
        return dict(zip(outputs.names, np.isfinite(labels).sum(axis=0).tolist(), strict=True))

    def relate(
        self, source: Outputs | None, target: Outputs | None, *, called: str = "source", open_set: bool = False
    ) -> Related:
        from hubtl.tasks.regression.matching import match

        if source is None:
            assert target is not None
            own = LabelSets(setting="closed", shared=list(target.names))
            return Related(Outputs(names=target.names), own, notes=self._unitless(target))
        sets, notes = match(source.names, None if target is None else target.names, called=called)
        return Related(Outputs(names=source.names), sets, notes=(*notes, *self._unitless(source)))

    def _unitless(self, outputs: Outputs) -> tuple[str, ...]:
        """Note that figures, plots and answers have no unit. It says how to set one."""
        given = cast(RegressionOptions, self.options).unit.strip() or any(words.units(outputs))
        return () if given else ("unit: none, for figures, plots and answers (--set task.unit=degrees, or the like)",)

    @classmethod
    def sets_called(cls, relation: LabelSets) -> str:
        lacks = ", ".join(relation.source_only)
        return f"the target lacks {lacks}" if lacks and relation.setting != "unknown" else ""

    def targets(self, labels: np.ndarray, own: Outputs, outputs: Outputs, other: int | None = None) -> np.ndarray:
        from hubtl.tasks.regression.matching import targets

        return targets(labels, own.names, outputs.names)

    def learn(self, labels: np.ndarray) -> None:
        """Fit location, scale and range to the training rows' labels [n, k]."""
        counts = self.check_source(labels, self.outputs, "the labels to learn from")
        rows = [column[np.isfinite(column)].astype(np.float64) for column in labels.T]
        location, scale = (np.array([f(column) for column in rows]) for f in (np.mean, np.std))
        self.scaling = location, scale
        standard = [(column - m) / s for column, m, s in zip(rows, location, scale, strict=True)]
        self.constant = float(np.mean([self._constant_loss(column) for column in standard]))
        details = {
            "location": location.tolist(),
            "scale": scale.tolist(),
            "range": [[float(column.min()), float(column.max())] for column in rows],
            "deviation": [float(np.abs(column - np.median(column)).mean()) for column in rows],
            "rows": [counts[name] for name in self.outputs.names],
            "unit": self._units(),
        }
        self.outputs = Outputs(names=self.outputs.names, details=details)

    def _units(self) -> list[str]:
        k, text = len(self.outputs.names), cast(RegressionOptions, self.options).unit.strip()
        given = [part.strip() for part in text.split(",")] if k > 1 and "," in text else [text] * k
        if len(given) != k:
            raise HubtlError(
                f"task.unit names {len(given)} units, and there are {k} outputs", hint="one for each, or one"
            )
        return given

    def fits(
        self, features: np.ndarray, labels: np.ndarray, kept: tuple[np.ndarray, np.ndarray] | None = None
    ) -> dict[str, Callable[[], float]]:
        from hubtl.tasks.regression import transferability as scores

        return {
            "logme": lambda: scores.logme(features, labels),
            "linear-probe": lambda: scores.linear_probe(features, labels),
        }

    def probe(self) -> Metric:
        return metric("r2")

    # model

    def losses(self, outputs: "Tensor", labels: "Tensor") -> "Tensor":
        """Return the mean loss [b] over the outputs; an output without a label does not count."""
        from hubtl.tasks.regression.losses import each

        options, known = cast(RegressionOptions, self.options), labels.isfinite()
        wanted = labels
        if self.scaling is not None:
            location, scale = (labels.new_tensor(values.tolist()) for values in self.scaling)
            wanted = (labels - location) / scale
        found = each(outputs, wanted.nan_to_num(), options.loss, options.delta, options.quantile)
        return (found * known).mean(dim=1)

    def answers(self, outputs: "Tensor") -> "Tensor":
        """Return outputs [b, k] in the units of the labels."""
        if self.scaling is None:
            return outputs
        location, scale = (outputs.new_tensor(values.tolist()) for values in self.scaling)
        return outputs * scale + location

    def export(self, classifier: "nn.Linear") -> "nn.Linear":
        """Fold location and scale into the last layer. So the saved model answers in label units."""
        import torch
        from torch import nn

        if self.scaling is None:
            return classifier
        location, scale = (torch.from_numpy(values) for values in self.scaling)
        made = nn.Linear(classifier.in_features, classifier.out_features)
        bias = torch.zeros(len(scale)) if classifier.bias is None else classifier.bias.detach().cpu()
        with torch.no_grad():
            made.weight.copy_(classifier.weight.detach().cpu().double() * scale[:, None])
            made.bias.copy_(bias.double() * scale + location)
        return made.to(classifier.weight.device)

    def fit(self, outputs: "Tensor", labels: np.ndarray, *, held_out: bool = True) -> "Regression":
        """Fit the margins of the 90 % intervals by split conformal prediction.

        The rows are ones that training did not learn from.
        """
        from hubtl.tasks.regression.measuring import margin_of

        made = copy.copy(self)
        made.outputs = self._without_margins()
        if not held_out:
            return made
        errors = np.abs(self.answers(outputs.float()).numpy().astype(np.float64) - labels)
        known = np.isfinite(errors)
        margins = [margin_of(errors[known[:, k], k], LEVEL) for k in range(errors.shape[1])]
        if all(margin is not None for margin in margins):
            details = {**made.outputs.details, "margin": margins, "margin_rows": known.sum(axis=0).tolist()}
            made.outputs = Outputs(names=made.outputs.names, details=details)
        return made

    def exported(self) -> Outputs:
        """Return the outputs, without the margins of an earlier model."""
        return self.outputs if self.scaling is not None else self._without_margins()

    def _without_margins(self) -> Outputs:
        details = {name: value for name, value in self.outputs.details.items() if not name.startswith("margin")}
        return Outputs(names=self.outputs.names, details=details)

    def prints(self, library: str | None = None) -> str:
        names = names_in(library) + (".values()" if library == "transformers" else "")
        return f"print(dict(zip({names}, logits[0].tolist())))"

    def readout(self) -> dict[str, Any]:
        margins = self._margins()
        intervals = {} if margins is None else {"margins": margins, "level": LEVEL}
        return {"activation": None, "answer": "the outputs", "units": words.units(self.outputs), **intervals}

    def decode(self, names: Sequence[str], outputs: "Tensor") -> list[Answer]:
        margins, found = self._margins(), list[Answer]()
        units = {key: unit for key, unit in zip(self.outputs.names, words.units(self.outputs), strict=True) if unit}
        for name, row in zip(names, self.answers(outputs).tolist(), strict=True):
            values = dict(zip(self.outputs.names, row, strict=True))
            each = zip(values.items(), margins or (), strict=False)
            intervals = {key: (value - m, value + m) for (key, value), m in each}
            found.append(Estimate(name, values, intervals, units))
        return found

    def about(self) -> str:
        from hubtl.data.names import listed

        return f"{super().about()}: {listed(words.called(self.outputs))}"

    def _margins(self) -> list[float] | None:
        """Return half the width of the intervals; None where there are none that can be read."""
        return words.numbers(self.outputs, "margin")

    # labels of single rows

    def typed(self, text: str) -> np.ndarray:
        """Parse a number for each output, separated by commas; ``-`` means not known."""
        names = self.outputs.names
        cells = [cell.strip() for cell in text.split("," if len(names) > 1 else None)] or [""]
        try:
            values = [math.nan if cell == "-" else float(cell) for cell in cells]
        except ValueError:
            values = []
        if len(values) != len(names) or not np.isfinite(values).any() or np.isinf(values).any():
            wanted = ",".join(name.upper() for name in names) if len(names) > 1 else "a number such as 3.5"
            raise HubtlError(f"{text.strip()!r} is no label of {', '.join(names)}", hint=wanted)
        return np.array(values, dtype=np.float32)

    def answered(self, outputs: "Tensor") -> np.ndarray:
        return self.answers(outputs.float()).numpy().astype(np.float64)

    def gap(self, one: np.ndarray, other: np.ndarray) -> str | None:
        return words.gap(self.outputs, np.nanmean(np.abs(one - other), axis=0))

    def nearer(self, one: np.ndarray, other: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Compare the mean absolute errors over the outputs. They are in units of the labels' spread."""
        scale = np.array(words.numbers(self.outputs, "scale") or [1.0] * labels.shape[1])
        errors = [np.nanmean(np.abs(answers - labels) / scale, axis=1) for answers in (one, other)]
        same = np.isclose(errors[0], errors[1], rtol=1e-6, atol=0)
        return np.where(same, 0, np.sign(errors[0] - errors[1])).astype(int)

    # judging

    def meter(self) -> Meter:
        from hubtl.tasks.gathered import Gathered
        from hubtl.tasks.regression.measuring import figures_of

        names, units, margins = self.outputs.names, words.units(self.outputs), self._margins()

        def measured(outputs: "Tensor", truth: np.ndarray | None) -> Evaluation:
            return figures_of(self.answers(outputs.float()).numpy(), truth, names, units, margins)

        return Gathered(measured)

    def score(self, outputs: "Tensor", labels: np.ndarray) -> float:
        """Return the mean R² of the outputs; NaN where all labels are constant."""
        from hubtl.tasks.regression.measuring import explained

        values = self.answers(outputs.float()).numpy().astype(np.float64)
        known = np.isfinite(labels)
        found = [explained(values[rows, k], labels[rows, k]) for k, rows in enumerate(known.T)]
        measured = [value for value in found if value is not None]
        return float(np.mean(measured)) if measured else math.nan

    def collapse(self, outputs: "Tensor", relation: LabelSets) -> str | None:
        spread = self._spread(outputs)
        if spread is None or spread >= CONSTANT:
            return None
        return f"the predictions hardly differ: their spread is {100 * spread:.1f} % of that of the labels learnt from"

    def _spread(self, outputs: "Tensor") -> float | None:
        """Return the mean ratio of the standard deviations of outputs and labels; None: not known."""
        scale = words.numbers(self.outputs, "scale")
        if len(outputs) < 2 or scale is None or len(scale) != outputs.shape[1]:
            return None
        spread = self.answers(outputs.float()).std(dim=0).tolist()
        return float(np.mean([own / max(abs(learnt), 1e-12) for own, learnt in zip(spread, scale, strict=True)]))

    def spread(self, outputs: "Tensor", relation: LabelSets | None) -> dict[str, float]:
        spread = self._spread(outputs)
        return {} if spread is None else {"collapsed": float(spread < CONSTANT), "spread": spread}

    def chance(self) -> float:
        return self.constant

    def _constant_loss(self, standard: np.ndarray) -> float:
        """Return the loss of the best constant for standardised labels [n]. It is approximate for huber."""
        import torch

        from hubtl.tasks.regression.losses import each

        options = cast(RegressionOptions, self.options)
        quantile = options.quantile if options.loss == "pinball" else 0.5
        best = 0.0 if options.loss == "mse" else float(np.quantile(standard, quantile))
        wanted = torch.from_numpy(standard)
        return float(each(torch.full_like(wanted, best), wanted, options.loss, options.delta, quantile).mean())

    def cost(self, before: Evaluation, after: Evaluation) -> str | None:
        """Warn if the error on the source rises much. A tenth of a constant answer's error is much.

        It corresponds to a tenth of the rows for accuracy.
        """
        known = words.numbers(self.outputs, "deviation")
        if before.source is None or after.source is None or not known or before.primary is None:
            return super().cost(before, after)
        if after.source - before.source <= FLOOR * float(np.mean(known)):
            return None
        from hubtl.card.metrics import value

        old, new = (value(before.primary, number) for number in (before.source, after.source))
        return f"adapting took the MAE on the source from {old} to {new}"

    # saying

    def warnings(self, relation: LabelSets, labels: np.ndarray | None, method: Any, unknown: str | None) -> list[str]:
        # what these learn from are the target's own values
        own = {"transfer", "sequential"} & set(getattr(method, "settings", ()))
        return words.warnings(self.outputs, relation, None if own else labels)

    def limits(self, record: RunRecord, does: str) -> list[str]:
        return words.limits(record)

    def predicts(self, of: str) -> str:
        return words.predicts(self.outputs, of)

    def doubts(self, record: RunRecord) -> list[str]:
        return words.doubts(record)

    def notes(self, record: RunRecord, *, adapting: bool) -> str:
        return words.notes(record)

    def relation(self, record: RunRecord) -> str:
        return words.relation(record)

    def plots(self, record: RunRecord) -> dict[str, Callable[[Any, Any], None]]:
        from hubtl.tasks.regression.plots import drawn

        return drawn(record)

    def primary(self) -> Metric:
        return metric("mae")
