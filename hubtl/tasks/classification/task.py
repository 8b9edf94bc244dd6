"""Define classification: one class for each input, of a closed or an open set."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from pydantic import Field

from hubtl.errors import HubtlError
from hubtl.record import Bound, Estimate, Evaluation, Figures, LabelSets, Metric, Outputs, RunRecord
from hubtl.tasks.asking import NONE
from hubtl.tasks.base import Answer, Meter, Related, Task, TaskOptions
from hubtl.tasks.classification import words
from hubtl.tasks.classification.answer import Prediction
from hubtl.tasks.classification.figures import PRIMARY, ClassificationFigures
from hubtl.tasks.parts import names_in, wanted

UNKNOWN = -1  # the code of a row whose class the model does not know

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hubtl.data.labels import Labels


class ClassificationOptions(TaskOptions):
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="label smoothing of the loss")


class Classification(Task):
    """Learn a closed set of classes by softmax cross-entropy."""

    name = "classification"
    Options = ClassificationOptions
    Figures: ClassVar[type[Figures]] = ClassificationFigures
    probabilities = True
    printed = None
    bars = True
    scale_free = True
    members: ClassVar[tuple[str, ...]] = ("mcc", "infomax", "bnm")
    kind = "classification"
    metrics = {
        "accuracy": "accuracy",
        "balanced_accuracy": "balanced_accuracy",
        "macro_f1": "f1",
        "ece": "expected_calibration_error",
        "hos": "h_score",
        "known_recall": "known_recall",
        "unknown_recall": "unknown_recall",
    }
    scores = ("source-accuracy", "infomax", "entropy")
    guard = "source-accuracy"
    voters: ClassVar[tuple[str, ...]] = ("infomax", "bnm", "snd", "ami", "mixval", "dev", "reverse")
    oracle = "target-accuracy"
    picks = words.PICKS
    viewed: ClassVar[tuple[str, str] | None] = words.VIEWED
    captions = words.CAPTIONS
    rankers: ClassVar[tuple[str, ...]] = ("logme", "leep", "h-score", "linear-probe")
    unlabelled_hint = "--label-column NAME; an image folder needs a sub-folder for each of at least two classes"

    @property
    def classes(self) -> list[str]:
        return self.outputs.names

    @classes.setter
    def classes(self, names: Sequence[str]) -> None:
        self.outputs = Outputs(names=list(names))

    # labels

    def find(self, dataset: Any, asked: Any, where: str, aside: str | None = None) -> tuple[list[str], list[str]]:
        from hubtl.tasks.classification.columns import label_column

        if isinstance(asked, list):
            if len(asked) > 1:
                raise HubtlError(
                    f"{where}: a class is in one column, and {len(asked)} are asked for", hint="--label-column NAME"
                )
            asked = asked[0] if asked else None
        found, passed = label_column(dataset, asked, where, aside=aside)
        return ([] if found is None else [found]), passed

    def read(
        self, parts: Sequence[Any], columns: Sequence[str], where: str, called: Sequence[str], known: Outputs | None
    ) -> "Labels":
        from hubtl.tasks.classification.reading import read, unfit

        (column,) = columns
        for part, name in zip(parts, called, strict=True):
            if why := unfit(part, column):
                raise HubtlError(f"{where}, split {name}: column {column!r} holds {why}", hint="--label-column NAME")
        return read(parts, column, where, called, () if known is None else known.names)

    def present(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(labels >= 0)

    def unlabelled(self, labels: np.ndarray) -> np.ndarray:
        from hubtl.tasks.classification.reading import UNLABELLED

        return np.asarray(labels == UNLABELLED)

    def strata(self, dataset: Any, columns: Sequence[str]) -> np.ndarray | None:
        (column,) = columns
        return np.array([str(value) for value in dataset.with_format(None)[column][:]])

    def check_source(self, labels: np.ndarray, outputs: Outputs, where: str) -> dict[str, int]:
        from hubtl.data.names import seen

        counts = dict(zip(outputs.names, np.bincount(labels, minlength=len(outputs.names)).tolist(), strict=True))
        if sum(1 for number in counts.values() if number) == 1:
            only = next(name for name, number in counts.items() if number)
            raise HubtlError(
                f"{where}: all training rows are of one class ({seen(only)})",
                hint="a source needs at least two classes",
            )
        return counts

    def relate(
        self, source: Outputs | None, target: Outputs | None, *, called: str = "source", open_set: bool = False
    ) -> Related:
        from hubtl.tasks.classification.matching import describe, match, own, unknown_name

        names = None if target is None else target.names
        classes, relation = own(names or []) if source is None else match(source.names, names, called=called)
        unknown = unknown_name(classes) if open_set else None
        outputs = Outputs(names=[*classes, *([unknown] if unknown else [])])
        told = relation.setting not in ("closed", "unknown") or relation.respelt
        notes = tuple(describe(relation).split("\n")) if told else ()
        return Related(outputs, relation, None if unknown is None else len(classes), notes)

    def targets(self, labels: np.ndarray, own: Outputs, outputs: Outputs, other: int | None = None) -> np.ndarray:
        from hubtl.tasks.classification.matching import indices
        from hubtl.tasks.classification.reading import UNKNOWN

        return indices(labels, own.names, outputs.names, UNKNOWN if other is None else other)

    def few(self, labels: np.ndarray | None, k: int, rng: np.random.Generator) -> np.ndarray:
        from hubtl.settings import logger

        labels = wanted(labels, k)

        chosen = []
        for number, name in enumerate(self.classes):
            rows = np.flatnonzero(labels == number)
            if len(rows) < k:
                logger.warning("the target has %d training rows of class %s, not %d", len(rows), name, k)
            chosen.append(rng.permutation(rows)[:k])
        return np.sort(np.concatenate(chosen))

    def unmet(self, labels: np.ndarray) -> list[str]:
        met = set(labels.tolist())
        return [name for number, name in enumerate(self.classes) if number not in met]

    def fits(
        self, features: np.ndarray, labels: np.ndarray, kept: tuple[np.ndarray, np.ndarray] | None = None
    ) -> dict[str, Callable[[], float]]:
        from hubtl.tasks.classification import transferability as scores

        return {
            "logme": lambda: scores.logme(features, labels),
            "leep": lambda: scores.leep(scores.guesses(features, kept), labels),
            "h-score": lambda: scores.h_score(features, labels),
            "linear-probe": lambda: scores.linear_probe(features, labels),
        }

    # model

    def losses(self, outputs: "Tensor", labels: "Tensor") -> "Tensor":
        import torch.nn.functional as F

        return F.cross_entropy(outputs, labels, reduction="none")

    def distil(self, outputs: "Tensor", teacher: "Tensor") -> "Tensor":
        """Return the cross-entropy with the teacher's probabilities."""
        import torch.nn.functional as F

        return F.cross_entropy(outputs.float(), teacher.float().softmax(dim=1))

    def loss(self, outputs: "Tensor", labels: "Tensor | None", weight: "Tensor | None" = None) -> "Tensor":
        import torch.nn.functional as F

        if labels is None:
            return super().loss(outputs, labels, weight)
        smoothing = cast(ClassificationOptions, self.options).label_smoothing
        if weight is None:
            return F.cross_entropy(outputs.float(), labels, label_smoothing=smoothing)
        each = F.cross_entropy(outputs.float(), labels, label_smoothing=smoothing, reduction="none")
        return (weight * each).mean()

    def prints(self, library: str | None = None) -> str:
        return f"print({names_in(library)}[logits.argmax(dim=1).item()])"

    def readout(self) -> dict[str, Any]:
        unknown = {} if self.unknown is None else {"unknown": self.classes[self.unknown]}
        return {"activation": "softmax", "answer": "the most probable", **unknown}

    def explain(self, forward: "Callable[[Mapping[str, Tensor]], Tensor]", cover: Any, **options: Any) -> Any:
        from hubtl.tasks.classification import relevance

        return relevance.explain(forward, cover, self.classes, **options)

    def decode(self, names: Sequence[str], outputs: "Tensor") -> list[Answer]:
        found: list[Answer] = []
        for name, row in zip(names, outputs.softmax(dim=1), strict=True):
            best = int(row.argmax())
            probabilities = dict(zip(self.classes, row.tolist(), strict=True))
            found.append(Prediction(name, self.classes[best], best, float(row[best]), probabilities))
        return found

    # labels of single rows

    def choices(self) -> list[str]:
        known = [name for number, name in enumerate(self.classes) if number != self.unknown]
        return [*known, NONE]

    def typed(self, text: str) -> np.ndarray:
        from hubtl.tasks.classification.matching import one_of

        return np.asarray(one_of(text, self.classes, NONE, UNKNOWN if self.unknown is None else self.unknown))

    def spelt(self, label: np.ndarray, text: str) -> str:
        return NONE if int(label) in (UNKNOWN, self.unknown) else self.classes[int(label)]

    def answered(self, outputs: "Tensor") -> np.ndarray:
        return self.predicted(outputs)

    def nearer(self, one: np.ndarray, other: np.ndarray, labels: np.ndarray) -> np.ndarray:
        difference: np.ndarray = (other == labels).astype(int) - (one == labels).astype(int)
        return difference

    # judging

    def meter(self) -> Meter:
        from hubtl.tasks.classification.measuring import figures_of
        from hubtl.tasks.gathered import Gathered

        return Gathered(lambda logits, labels: figures_of(logits, labels, self.classes, self.unknown))

    def score(self, outputs: "Tensor", labels: np.ndarray) -> float:
        return float((outputs.argmax(dim=1).numpy() == labels).mean())

    def gauge(self, outputs: "Tensor", labels: np.ndarray) -> dict[str, Any] | None:
        """Return what an estimate needs, for a closed set.

        In an open set the source does not tell how many rows are unknown.
        """
        from hubtl.tasks.classification.estimate import gauge

        return gauge(outputs.numpy(), labels) if self.unknown is None else None

    def estimate(
        self, models: Sequence[tuple["Tensor", Mapping[str, Any]]], *, adapted: bool = True
    ) -> Estimate | None:
        from hubtl.tasks.classification.estimate import estimate

        if self.unknown is not None:
            return None
        return estimate([(outputs.numpy(), kept) for outputs, kept in models], adapted=adapted)

    def bound(
        self,
        source: "Tensor",
        labels: np.ndarray,
        target: "Tensor",
        beside: tuple["Tensor", "Tensor"],
        beat: float,
    ) -> Bound | None:
        import torch

        from hubtl.tasks.classification.bound import bound

        return bound(source, torch.from_numpy(labels), target, beside, beat) if self.unknown is None else None

    def calibrate(
        self, head: "nn.Linear", features: "Tensor", labels: np.ndarray, blocks: Mapping[str, slice]
    ) -> tuple[dict[str, float], float, float]:
        import torch

        from hubtl.tasks.classification.temperature import fit

        return fit(head, features, torch.from_numpy(labels), blocks)

    def collapse(self, outputs: "Tensor", relation: LabelSets) -> str | None:
        """Judge collapse among the classes that the target can have.

        Neither the number of unknown rows is known, nor that all classes occur.
        """
        from hubtl.tasks.classification.measuring import collapse

        counts = np.bincount(outputs.argmax(dim=1).numpy(), minlength=len(self.classes))
        known = counts if self.unknown is None else np.delete(counts, self.unknown)
        return collapse(known, min(len(known), len(relation.shared) or len(known)))

    def spread(self, outputs: "Tensor", relation: LabelSets | None) -> dict[str, float]:
        """Measure how predictions spread over the classes that rows may have."""
        from hubtl.tasks.classification.measuring import collapse

        counts = np.bincount(outputs.argmax(dim=1).numpy(), minlength=outputs.shape[1])
        lacks = relation is not None and relation.setting in ("partial", "open-partial")
        classes = len(relation.shared) if relation is not None and lacks else len(self.classes)
        return {
            "collapsed": float(collapse(counts, classes) is not None),
            "predicted_classes": float((counts > 0).sum()),
            "largest_share": float(counts.max() / counts.sum()),
            "classes": float(classes),
        }

    def collapsed_words(self, seen: Mapping[str, float]) -> str:
        return (
            f"{seen['predicted_classes']:.0f} of {seen['classes']:.0f} classes are predicted on the target, "
            f"{seen['largest_share']:.0%} of its rows as one"
        )

    def certainty(self, outputs: "Tensor") -> float:
        return float(outputs.softmax(dim=1).amax(dim=1).mean())

    def chance(self) -> float:
        return math.log(len(self.classes))

    def prior_shift(self, labels: np.ndarray, outputs: "Tensor") -> float | None:
        """Return the total variation between the source's labels and the target's predictions."""
        if not (labels >= 0).any():
            return None
        classes = outputs.shape[1]
        priors = [
            np.bincount(labels[labels >= 0], minlength=classes),
            np.bincount(outputs.argmax(dim=1), minlength=classes),
        ]
        one, other = (counts / counts.sum() for counts in priors)
        return float(np.abs(one - other).sum() / 2)

    def unlearned(self, before: Evaluation) -> str | None:
        """Warn where source-only knows too little of the source. It is less than halfway from chance to perfect.

        Measured in docs/benchmarks.md, *source known*: one family of four supports it, and none contradicts it.
        """
        chance, share = 1 / max(1, len(self.outputs.names)), before.source
        if share is None or share - chance >= (1 - chance) / 2:
            return None
        return f"source-only is right on {100 * share:.1f}% of the source, less than halfway between chance and all"

    # saying

    def warnings(self, relation: LabelSets, labels: np.ndarray | None, method: Any, unknown: str | None) -> list[str]:
        return words.warnings(relation, labels, method, unknown)

    def limits(self, record: RunRecord, does: str) -> list[str]:
        return words.limits(record, does)

    def doubts(self, record: RunRecord) -> list[str]:
        return words.doubts(record)

    def notes(self, record: RunRecord, *, adapting: bool) -> str:
        return words.notes(record, adapting=adapting)

    def groups(self, labels: np.ndarray) -> np.ndarray:
        return labels

    def predicted(self, outputs: "Tensor") -> np.ndarray:
        return np.asarray(outputs.argmax(dim=1).numpy())

    def plots(self, record: RunRecord) -> dict[str, Callable[[Any, Any], None]]:
        from hubtl.tasks.classification.plots import drawn

        return drawn(record)

    def primary(self) -> Metric:
        return PRIMARY
