"""Define multi-label classification: a binary decision for each class."""

import copy
import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from pydantic import Field

from hubtl.errors import HubtlError
from hubtl.record import LabelSets, Metric, Outputs, RunRecord
from hubtl.tasks.asking import NONE
from hubtl.tasks.base import Answer, Meter, Related, Task, TaskOptions
from hubtl.tasks.multilabel import words
from hubtl.tasks.multilabel.answer import LabelledAs
from hubtl.tasks.multilabel.figures import PRIMARY, MultiLabelFigures
from hubtl.tasks.parts import names_in, wanted

if TYPE_CHECKING:
    from torch import Tensor

    from hubtl.data.labels import Labels

SAME = 0.01  # probabilities of all rows that differ by less say the same of every row


class MultiLabelOptions(TaskOptions):
    loss: Literal["bce", "asymmetric"] = Field(
        "bce", description="binary cross-entropy, or the asymmetric loss, which down-weights easy negatives"
    )
    gamma_negative: float = Field(4.0, ge=0, le=20, description="asymmetric: focusing exponent of negatives")
    gamma_positive: float = Field(1.0, ge=0, le=20, description="asymmetric: focusing exponent of positives")
    clip: float = Field(0.05, ge=0, lt=1, description="asymmetric: negatives below this probability do not count")
    positive_weight: float = Field(
        1.0,
        ge=1,
        le=1e4,
        description="upper bound of a class's positive weight (negatives / positives); 1: no weights",
    )
    separator: str | None = Field(
        None,
        min_length=1,
        max_length=9,
        description="separator of classes in a column of text: comma, semicolon, …",
    )


class MultiLabel(Task):
    """Learn a sigmoid for each class by summed binary losses; measure average precision.

    Labels are float32 [n, c]: 1, 0, or NaN where it is not known, which is neither learnt from nor scored. A row of
    NaN alone has no label; one of zeros has no class, which is a label.
    """

    name = "multi-label"
    Options = MultiLabelOptions
    Figures = MultiLabelFigures
    probabilities = False  # a softmax over the outputs means nothing
    printed = None
    no_probabilities = "has one for each class, independent of the others"
    rankers = ("logme", "linear-probe")
    augments = False  # a crop may cut off what a label names
    kind = "multi-label-classification"
    pipeline = "classification"
    metrics = {"map": "mAP", "macro_f1": "f1", "micro_f1": "f1"}
    scale_free = True
    picks = words.PICKS
    unlabelled_hint = "--label-column NAME of lists, or NAME,NAME,… of 0 and 1 for each class"
    problem_type = "multi_label_classification"
    captions = words.CAPTIONS
    scores_said = {
        "dev": "minus the loss on the target, as estimated from the source",
        "source-score": "mAP on the source, 1 at best",
    }

    _positive: "Tensor | None" = None  # weight of positives [c]
    _chance: float | None = None

    # labels

    @property
    def separator(self) -> str | None:
        """Return the separator between classes in text. It was asked for, or is that of the model's data."""
        from hubtl.tasks.multilabel.reading import WORDS

        asked = cast(MultiLabelOptions, self.options).separator or self.outputs.details.get("separator")
        return None if asked is None else WORDS.get(str(asked), str(asked))

    def find(self, dataset: Any, asked: Any, where: str, aside: str | None = None) -> tuple[list[str], list[str]]:
        from hubtl.tasks.multilabel.columns import label_columns

        return label_columns(dataset, asked, where, separator=self.separator, aside=aside, own=self.outputs.names)

    def offer(self, dataset: Any) -> tuple[list[str], dict[str, str]]:
        from hubtl.tasks.multilabel.columns import offer

        return offer(dataset, self.separator)

    def read(
        self, parts: Sequence[Any], columns: Sequence[str], where: str, called: Sequence[str], known: Outputs | None
    ) -> "Labels":
        from hubtl.tasks.multilabel.reading import read

        return read(parts, columns, where, called, self.separator)

    def present(self, labels: np.ndarray) -> np.ndarray:
        known: np.ndarray = ~np.isnan(labels).all(axis=1)
        return known

    def strata(self, dataset: Any, columns: Sequence[str]) -> np.ndarray | None:
        """Stratify by the rarest class of each row; so rare ones are held out too; −1 without one."""
        labels = self.read([dataset], columns, "", ["train"], None).values[0] == 1
        often = np.where(labels, labels.sum(axis=0), len(labels) + 1)
        return np.where(labels.any(axis=1), often.argmin(axis=1), -1)

    def check_source(self, labels: np.ndarray, outputs: Outputs, where: str) -> dict[str, int]:
        there, away = (labels == 1).sum(axis=0), (labels == 0).sum(axis=0)
        if not ((there > 0) & (away > 0)).any():
            raise HubtlError(
                f"{where}: no class is there in some training rows and not in others",
                hint="there is nothing to learn: choose other columns, or other data",
            )
        return dict(zip(outputs.names, there.tolist(), strict=True))

    def relate(
        self, source: Outputs | None, target: Outputs | None, *, called: str = "source", open_set: bool = False
    ) -> Related:
        from hubtl.tasks.classification.matching import describe, match, own

        if open_set:
            raise HubtlError(
                f"{self.name} has no output for what is none of the classes: a row may have none",
                hint="a --strategy for closed sets, such as coral",
            )
        first = source or target
        if first is not None and len(first.names) == 1:
            raise HubtlError(
                f"one class alone ({first.names[0]}): it is there or not, which is classification",
                hint="--task classification",
            )
        names = None if target is None else target.names
        classes, relation = own(names or []) if source is None else match(source.names, names, called=called)
        told = relation.setting not in ("closed", "unknown") or relation.respelt
        details = {} if first is None else first.details
        notes = tuple(describe(relation).split("\n")) if told else ()
        return Related(Outputs(names=classes, details=dict(details)), relation, notes=notes)

    def targets(self, labels: np.ndarray, own: Outputs, outputs: Outputs, other: int | None = None) -> np.ndarray:
        from hubtl.data.names import partners

        place = {name: number for number, name in enumerate(outputs.names)}
        found = np.full((len(labels), len(outputs.names)), np.nan, dtype=np.float32)
        for theirs, ours in partners(outputs.names, own.names).items():
            found[:, place[ours]] = labels[:, own.names.index(theirs)]
        return found

    def learn(self, labels: np.ndarray) -> None:
        import torch

        from hubtl.data.names import listed
        from hubtl.settings import logger

        self.check_source(labels, self.outputs, "the labels to learn from")
        there, away = (labels == 1).sum(axis=0), (labels == 0).sum(axis=0)
        silent = [name for name, yes, no in zip(self.outputs.names, there, away, strict=True) if not yes or not no]
        if silent:
            logger.warning("every row to learn from has these classes, or none has: %s", listed(silent))
        share = there / np.maximum(there + away, 1)
        inside = np.clip(share, 1e-12, 1 - 1e-12)
        self._chance = float(-(share * np.log(inside) + (1 - share) * np.log1p(-inside)).sum())
        cap = cast(MultiLabelOptions, self.options).positive_weight
        if cap > 1:
            self._positive = torch.from_numpy(np.clip(away / np.maximum(there, 1), 1, cap).astype(np.float32))

    def few(self, labels: np.ndarray | None, k: int, rng: np.random.Generator) -> np.ndarray:
        from hubtl.settings import logger

        labels = wanted(labels, k)

        chosen = []
        for number, name in enumerate(self.outputs.names):
            rows = np.flatnonzero(labels[:, number] == 1)
            if len(rows) < k:
                logger.warning("the target has %d training rows with class %s, not %d", len(rows), name, k)
            chosen.append(rng.permutation(rows)[:k])
        return np.unique(np.concatenate(chosen))

    def unmet(self, labels: np.ndarray) -> list[str]:
        there = (labels == 1).any(axis=0)
        return [name for name, met in zip(self.outputs.names, there, strict=True) if not met]

    def fits(
        self, features: np.ndarray, labels: np.ndarray, kept: tuple[np.ndarray, np.ndarray] | None = None
    ) -> dict[str, Callable[[], float]]:
        from hubtl.tasks.multilabel import transferability as scores

        return {
            "logme": lambda: scores.logme(features, labels),
            "linear-probe": lambda: scores.linear_probe(features, labels),
        }

    # model

    def distil(self, outputs: "Tensor", teacher: "Tensor") -> "Tensor":
        """Return the binary cross-entropy with the teacher's probabilities, summed over the classes."""
        import torch.nn.functional as F

        each = F.binary_cross_entropy_with_logits(outputs.float(), teacher.float().sigmoid(), reduction="none")
        return each.sum(dim=1).mean()

    def losses(self, outputs: "Tensor", labels: "Tensor") -> "Tensor":
        """Return the loss [b], summed over the known classes; its gradient is as large as cross-entropy's."""
        from hubtl.tasks.multilabel.losses import asymmetric, binary

        known = ~labels.isnan()
        truth = labels.nan_to_num(0.0).to(outputs.dtype)
        positive = None if self._positive is None else self._positive.to(outputs.device)
        options = cast(MultiLabelOptions, self.options)
        if options.loss == "bce":
            cells = binary(outputs, truth, positive)
        else:
            gammas = {"gamma_negative": options.gamma_negative, "gamma_positive": options.gamma_positive}
            cells = asymmetric(outputs, truth, positive, clip=options.clip, **gammas)
        return (cells * known).sum(dim=1)

    @property
    def thresholds(self) -> np.ndarray:
        """Return the probability threshold [c] of each class."""
        given: Any = self.outputs.details.get("thresholds")
        if given is None:
            return np.full(len(self.outputs.names), 0.5)
        fits = isinstance(given, list) and len(given) == len(self.outputs.names)
        if not fits or not all(isinstance(cut, int | float) and 0 <= cut <= 1 for cut in given):
            raise HubtlError(
                f"the thresholds of a model for {self.name} are not a probability for each of its classes",
                hint="save or pull the model again",
            )
        return np.array(given, dtype=np.float64)

    def fit(self, outputs: "Tensor", labels: np.ndarray, *, held_out: bool = True) -> "Task":
        """Fit each class's threshold with the best F1 on these rows."""
        from hubtl.tasks.multilabel.measuring import best_threshold, chances

        found, probabilities = [], chances(outputs)
        for number in range(probabilities.shape[1]):
            known = ~np.isnan(labels[:, number])
            found.append(best_threshold(probabilities[known, number], labels[known, number] == 1))
        task = copy.copy(self)
        fitted = {"thresholds": found, "threshold_rows": len(labels), "thresholds_held_out": held_out}
        details = {**self.outputs.details, **fitted}
        task.outputs = self.outputs.model_copy(update={"details": details})
        return task

    def prints(self, library: str | None = None) -> str:
        cuts = [round(float(cut), 6) for cut in self.thresholds]
        line = f"thresholds = {cuts}"
        lines = [line] if len(line) <= 110 else ["thresholds = [", *(f"    {cut}," for cut in cuts), "]"]
        said = f"[{names_in(library)}[i] for i, (p, t) in enumerate(zip(logits.sigmoid()[0].tolist(), thresholds)) if p > t]"
        return "\n".join([*lines, f"print({said})"])

    def readout(self) -> dict[str, Any]:
        return {
            "activation": "sigmoid",
            "answer": "those above their thresholds",
            "thresholds": [float(cut) for cut in self.thresholds],
        }

    def decode(self, names: Sequence[str], outputs: "Tensor") -> list[Answer]:
        from hubtl.tasks.multilabel.measuring import chances

        found, cuts = list[Answer](), dict(zip(self.outputs.names, self.thresholds.tolist(), strict=True))
        for name, row in zip(names, chances(outputs), strict=True):
            there = np.flatnonzero(row > self.thresholds)
            labels = [self.outputs.names[number] for number in there[np.argsort(-row[there], kind="stable")]]
            found.append(LabelledAs(name, labels, dict(zip(self.outputs.names, row.tolist(), strict=True)), cuts))
        return found

    # labels of single rows

    several = True

    def choices(self) -> list[str]:
        return list(self.outputs.names)

    def typed(self, text: str) -> np.ndarray:
        """Parse names separated by commas, semicolons or bars; ``none of these`` for no class."""
        from hubtl.tasks.classification.matching import one_of

        label = np.zeros(len(self.outputs.names), dtype=np.float32)
        whole = [text] if text.strip() in self.outputs.names else re.split(r"[,;|]", text)
        for name in whole:
            if (place := one_of(name, self.outputs.names, NONE, -1)) >= 0:
                label[place] = 1
        return label

    def spelt(self, label: np.ndarray, text: str) -> str:
        return ", ".join(name for name, there in zip(self.outputs.names, label, strict=True) if there == 1) or NONE

    def answered(self, outputs: "Tensor") -> np.ndarray:
        from hubtl.tasks.multilabel.measuring import chances

        return chances(outputs) > self.thresholds

    def nearer(self, one: np.ndarray, other: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Compare the numbers of wrong classes."""
        known = ~np.isnan(labels)
        wrong = [((answers != (labels == 1)) & known).sum(axis=1) for answers in (one, other)]
        signs: np.ndarray = np.sign(wrong[0] - wrong[1])
        return signs

    # judging

    def meter(self) -> Meter:
        from hubtl.tasks.gathered import Gathered
        from hubtl.tasks.multilabel.measuring import chances, figures_of

        return Gathered(
            lambda outputs, labels: figures_of(chances(outputs), labels, self.outputs.names, self.thresholds)
        )

    def score(self, outputs: "Tensor", labels: np.ndarray) -> float:
        """Return the mean average precision over the classes that some rows have."""
        from hubtl.tasks.multilabel.measuring import chances, resampled

        return float(resampled(chances(outputs), labels)(np.ones((1, len(labels))))[0])

    def collapse(self, outputs: "Tensor", relation: LabelSets) -> str | None:
        """Report that every row gets the same probabilities.

        Counts above the thresholds say nothing about the ranking of rows.
        """
        from hubtl.tasks.multilabel.measuring import chances

        found = chances(outputs)
        if len(found) < 2:
            return None
        if (found.max(axis=0) - found.min(axis=0) < SAME).all():
            return "every row gets the same probabilities"
        return None

    def spread(self, outputs: "Tensor", relation: LabelSets | None) -> dict[str, float]:
        from hubtl.tasks.multilabel.measuring import chances

        above = chances(outputs) > self.thresholds
        _, rows = np.unique(above, axis=0, return_counts=True)
        fallen = self.collapse(outputs, relation or LabelSets(setting="unknown"))
        return {
            "collapsed": float(fallen is not None),
            "predicted_classes": float(above.any(axis=0).sum()),
            "largest_share": float(rows.max() / rows.sum()),
            "classes": float(above.shape[1]),
        }

    def chance(self) -> float:
        return self._chance if self._chance is not None else len(self.outputs.names) * math.log(2)

    def prior_shift(self, labels: np.ndarray, outputs: "Tensor") -> float | None:
        """Return the mean gap between labelled and predicted class shares.

        It is the mean over classes of the absolute difference.
        """
        from hubtl.tasks.multilabel.measuring import chances

        known = ~np.isnan(labels)
        if not known.any():
            return None
        share = (labels == 1).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        predicted = (chances(outputs) > self.thresholds).mean(axis=0)
        return float(np.abs(share - predicted)[known.any(axis=0)].mean())

    # saying

    def warnings(self, relation: LabelSets, labels: np.ndarray | None, method: Any, unknown: str | None) -> list[str]:
        return words.warnings(relation)

    def limits(self, record: RunRecord, does: str) -> list[str]:
        return words.limits(record, does)

    def doubts(self, record: RunRecord) -> list[str]:
        return words.doubts(record)

    def notes(self, record: RunRecord, *, adapting: bool) -> str:
        return words.notes(record, adapting=adapting)

    def plots(self, record: RunRecord) -> dict[str, Callable[[Any, Any], None]]:
        from hubtl.tasks.multilabel.plots import drawn

        return drawn(record)

    def primary(self) -> Metric:
        return PRIMARY
