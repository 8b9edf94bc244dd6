"""The seam of a task: all that depends on what labels are."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hubtl.card.metrics import value
from hubtl.card.wording import many
from hubtl.errors import HubtlError, unknown
from hubtl.record import Bound, Estimate, Evaluation, Figures, LabelSets, Metric, Outputs, RunRecord
from hubtl.record.figures import SHARE
from hubtl.tasks.asking import Asking
from hubtl.tasks.parts import Answer as Answer
from hubtl.tasks.parts import Bar as Bar
from hubtl.tasks.parts import Meter as Meter
from hubtl.tasks.parts import Related as Related
from hubtl.tasks.parts import Said as Said
from hubtl.tasks.parts import TaskOptions as TaskOptions
from hubtl.tasks.parts import names_in as names_in
from hubtl.tasks.relation import described

if TYPE_CHECKING:  # a card is rendered without torch
    from torch import Tensor, nn

    from hubtl.data.labels import Labels

FLOOR = 0.10  # of a share, and of any other metric's own value: what adaptation may cost on the source


class Task(Asking, ABC):
    """The seam of a task; a plugin registers a subclass under ``hubtl.tasks``.

    Its module imports no torch at the top: a card is rendered by it too.

    Attributes:
        name: by which it is registered.
        Figures: the model of its figures in a record.
        probabilities: whether a softmax of the outputs says how likely each of them is. Methods and validators whose
            ``needs`` name ``probabilities`` are refused where it is False.
        no_probabilities: why it is False, after the name of the task.
        kind: what the Hub calls it, after the modality: ``classification`` of ``image-classification``.
        pipeline_tags: the Hub's tag by modality, where it knows the task.
        metrics: what the Hub calls the metrics of the card, by the names of ``Figures.rows()``.
        scores: validators that score every checkpoint; none reads target labels.
        guard: the one among them that a guard rail watches: accuracy on the source, or its like.
        voters: validators that vote on the finished models.
        oracle: the validator that reads target labels.
        picks: what ``--strategy auto`` takes and why, by setting and relation (None: any other).
        bars: whether an answer is one of the outputs, to be shown with the probability of each.
        rankers: scores of ``fits``, by which ``hubtl rank`` may rank; the first one by default.
        head_defaults: recipe keys that a head on a frozen backbone is trained with, unless recipe or strategy say else.
        scale_free: whether outputs times a constant give the same answers, as logits do; numbers do not.
        members: strategies whose models ``auto`` averages on a frozen backbone, where the label sets are closed.
        augments: whether random crops and flips leave a label as it is.
        scores_said: what a card says of validators' scores, by name.
        printed: attributes of an ``answer`` that code on a card prints, where hubtl loads the model; None: ``prints``.
        unlabelled_hint: what to do about data in which no labels were found.
        problem_type: what transformers calls it in a model's configuration; None: it needs no word.
    """

    name: ClassVar[str]
    Options: ClassVar[type[TaskOptions]] = TaskOptions
    Figures: ClassVar[type[Figures]] = Figures
    probabilities: ClassVar[bool] = False
    no_probabilities: ClassVar[str] = "has none"
    kind: ClassVar[str] = "other"
    pipeline_tags: ClassVar[Mapping[str, str]] = {}
    metrics: ClassVar[Mapping[str, str]] = {}
    scores: ClassVar[tuple[str, ...]] = ("source-score",)
    guard: ClassVar[str] = "source-score"
    voters: ClassVar[tuple[str, ...]] = ("dev",)
    oracle: ClassVar[str] = "target-score"
    picks: ClassVar[Mapping[tuple[str, str | None], tuple[str, str]]] = {}
    rankers: ClassVar[tuple[str, ...]] = ()
    head_defaults: ClassVar[Mapping[str, Any]] = {}
    augments: ClassVar[bool] = True
    scale_free: ClassVar[bool] = False
    members: ClassVar[tuple[str, ...]] = ()
    problem_type: ClassVar[str | None] = None
    bars: ClassVar[bool] = False
    captions: ClassVar[Mapping[str, str]] = {}
    scores_said: ClassVar[Mapping[str, str]] = {}
    printed: ClassVar[str | None] = None
    unlabelled_hint: ClassVar[str] = "--label-column NAME"

    def __init__(self, outputs: Outputs | Sequence[str] = (), options: TaskOptions | None = None) -> None:
        self.outputs = outputs if isinstance(outputs, Outputs) else Outputs(names=list(outputs))
        self.source_domains: list[str] = []  # where there are several
        self.source: Task | None = None  # of a sequential run, whose source has outputs of its own
        self.unknown: int | None = None  # the output for what is none of the others, in an open-set run
        self.options = options if options is not None else self.Options()

    # labels

    @abstractmethod
    def find(self, dataset: Any, asked: Any, where: str, aside: str | None = None) -> tuple[list[str], list[str]]:
        """Find the label columns of a ``datasets.Dataset``: their names, and why others were passed over.

        ``asked`` is what the recipe names. No column is found where the dataset has no labels. Raises HubtlError for
        columns that were asked for and do not hold labels of this task. A task of a saved model knows its ``outputs``:
        columns that are called so come first.
        """

    def offer(self, dataset: Any) -> tuple[list[str], dict[str, str]]:
        """Name columns that could be read if they were asked for, and the options that this takes: for a hint."""
        return self.find(dataset, None, "")[0], {}

    def with_options(self, options: Mapping[str, str]) -> "Task":
        """Make this task with other values of some options."""
        return type(self)(self.outputs, self.options.model_copy(update=dict(options))) if options else self

    @abstractmethod
    def read(
        self, parts: Sequence[Any], columns: Sequence[str], where: str, called: Sequence[str], known: Outputs | None
    ) -> "Labels":
        """Read the label columns of the splits of a domain; ``known`` are the outputs of the other domain."""

    @abstractmethod
    def present(self, labels: np.ndarray) -> np.ndarray:
        """Say which rows have a label that can be learnt from or scored: bool [n]."""

    def unlabelled(self, labels: np.ndarray) -> np.ndarray:
        """Say which rows have no label at all: bool [n]."""
        return ~self.present(labels)

    def strata(self, dataset: Any, columns: Sequence[str]) -> np.ndarray | None:
        """Give rows [n] to groups of which equal shares are held out; None: rows are drawn freely."""
        return None

    def check_source(self, labels: np.ndarray, outputs: Outputs, where: str) -> dict[str, int]:
        """Count the source's labels by name. Raises HubtlError where there is nothing to learn from them."""
        return {}

    @abstractmethod
    def relate(
        self, source: Outputs | None, target: Outputs | None, *, called: str = "source", open_set: bool = False
    ) -> Related:
        """Say what the model answers with, and how the labels of the two domains relate.

        Without a source the outputs are the target's own. Raises HubtlError where they share nothing.
        """

    @abstractmethod
    def targets(self, labels: np.ndarray, own: Outputs, outputs: Outputs, other: int | None = None) -> np.ndarray:
        """Turn the labels of a domain, which mean ``own``, into those of a model with ``outputs``."""

    def learn(self, labels: np.ndarray) -> None:
        """Take from the training rows' labels what the loss needs, such as their scale; by default nothing."""

    def few(self, labels: np.ndarray | None, k: int, rng: np.random.Generator) -> np.ndarray:
        """Choose the rows whose labels [n] may be learnt from, ``k`` of each class. Raises HubtlError without labels."""
        raise HubtlError(
            f"--target-labels-per-class counts rows of a class, and {self.name} has no classes",
            hint="leave it out",
        )

    def unmet(self, labels: np.ndarray) -> list[str]:
        """Name the outputs that no row's label speaks of: a class without a row."""
        return []

    def fits(
        self, features: np.ndarray, labels: np.ndarray, kept: tuple[np.ndarray, np.ndarray] | None = None
    ) -> dict[str, Callable[[], float]]:
        """Give the scores ``rankers`` of how well features [n, d] fit labels, to be called; higher is better.

        ``kept`` are weight [z, d] and bias [z] of the classifier that the backbone's weights came with. A score raises
        ValueError where it cannot be measured.
        """
        return {}

    def probe(self) -> Metric:
        """Name the metric of the score ``linear-probe``."""
        return self.primary()

    # model

    def head(self, width: int) -> "nn.Linear":
        """Make a fresh head on pooled features of ``width``."""
        from torch import nn

        return nn.Linear(width, len(self.outputs.names))

    @abstractmethod
    def losses(self, outputs: "Tensor", labels: "Tensor") -> "Tensor":
        """The supervised loss of each row [b]; rows without a label count nothing."""

    def loss(self, outputs: "Tensor", labels: "Tensor | None", weight: "Tensor | None" = None) -> "Tensor":
        """Average the supervised loss over rows, each times its ``weight`` [b] if there is one: a scalar.

        Raises HubtlError if the labels are sealed.
        """
        if labels is None:
            raise HubtlError(
                "a supervised loss was asked for on a sealed stream: its labels are not there",
                hint="compute it on the source stream, or use a strategy for a labelled target",
            )
        each = self.losses(outputs.float(), labels)
        return each.mean() if weight is None else (weight * each).mean()

    def export(self, classifier: "nn.Linear") -> "nn.Linear":
        """Turn the last layer into one whose outputs are what a reader of the model wants; in place or new."""
        return classifier

    def fit(self, outputs: "Tensor", labels: np.ndarray, *, held_out: bool = True) -> "Task":
        """Make the task of one trained model, from its outputs [n, k] on labelled rows: with thresholds, margins, …

        Where there are rows that training did not learn from these are such; ``held_out`` says so. They are never sealed.
        """
        return self

    def exported(self) -> Outputs:
        """What the saved model's outputs mean."""
        return self.outputs

    def prints(self, library: str | None = None) -> str:
        """Write Python that prints what the tensor ``logits`` of one input says.

        ``library`` loaded ``model``, which knows the names of its outputs; None: they are in ``names``.
        """
        return f"print([({names_in(library)}[i], x) for i, x in enumerate(logits[0].tolist())])"

    @abstractmethod
    def decode(self, names: Sequence[str], outputs: "Tensor") -> list[Answer]:
        """Turn outputs [b, k] of inputs that are called ``names`` into answers."""

    def check_explains(self, label: str | None = None) -> None:
        """Raise HubtlError for a task whose answers cannot be explained, and for a label that it does not have."""
        if not self.probabilities:
            raise HubtlError(
                f"what is explained is the probability of an answer, and {self.name} has none", hint="hubtl predict"
            )
        if label is not None and label not in self.outputs.names:
            raise unknown(self.Figures.group, label, self.outputs.names)

    def explain(self, forward: "Callable[[Tensor], Tensor]", image: "Tensor", **options: Any) -> Any:
        """Say what each place of an image [1, c, h, w] does for the answer; ``forward`` maps images to outputs.

        Options: ``label`` (None: the answer), ``shown`` (its pixels), ``seed``, ``orders``, ``folder``. Raises HubtlError
        for a task whose answers cannot be explained.
        """
        raise HubtlError(f"{self.name} does not explain its answers", hint="hubtl predict")

    def about(self) -> str:
        """Say in short what the model answers with: ``10 classes``."""
        n, group = len(self.outputs.names), self.Figures.group
        return f"{n:,} {group if n == 1 else many(group)}"

    def distil(self, outputs: "Tensor", teacher: "Tensor") -> "Tensor":
        """How far outputs [b, k] are from a teacher's, for a student to learn from: a scalar. By default squared."""
        spread = teacher.std(dim=0).clamp_min(1e-6) if len(teacher) > 1 else 1.0
        squared: Tensor = (((outputs - teacher) / spread) ** 2).mean()
        return squared

    # judging

    @abstractmethod
    def meter(self) -> Meter:
        """Make a fresh meter."""

    def evaluation(self, outputs: "Tensor", targets: np.ndarray | None) -> Evaluation:
        """The figures of outputs [n, k] against labels; without labels only what is known without them."""
        meter = self.meter()
        meter.update(outputs, targets)
        return meter.result()

    def gauge(self, outputs: "Tensor", labels: np.ndarray) -> dict[str, Any] | None:
        """Keep what ``estimate`` needs of outputs [n, k] on labelled rows that training did not learn from.

        Small and plain, for a record; None for a task that has no estimate.
        """
        return None

    def estimate(
        self, models: Sequence[tuple["Tensor", Mapping[str, Any]]], *, adapted: bool = True
    ) -> Estimate | None:
        """Estimate the first model's primary metric on rows without labels.

        Of each model there are its outputs [m, k] on these rows, and what ``gauge`` kept of it. Models beside the first
        help by where they contradict it. ``adapted`` says whether the first one learnt on the target.
        """
        return None

    def bound(
        self,
        source: "Tensor",
        labels: np.ndarray,
        target: "Tensor",
        beside: tuple["Tensor", "Tensor"],
        beat: float,
    ) -> Bound | None:
        """Bound the primary metric on rows without labels from below.

        It reads outputs [n, k] on labelled source rows that training did not learn from, and [m, k] on the rows;
        ``beside`` are source-only's on both. None where it cannot lie above ``beat``, and for a task that has no bound.
        """
        return None

    def calibrate(
        self, head: "nn.Linear", features: "Tensor", labels: np.ndarray, blocks: Mapping[str, slice]
    ) -> tuple[dict[str, float], float, float]:
        """Scale each block of a head's weight so that labels are likeliest given ``features`` [n, d].

        Returns the factors by block, and the loss before and after. Raises HubtlError for a task without probabilities.
        """
        raise HubtlError(f"{self.name} has no temperature to fit", hint="leave run.calibrate out")

    def collapse(self, outputs: "Tensor", relation: LabelSets) -> str | None:
        """Say why the outputs on the target look collapsed, or None."""
        return None

    @abstractmethod
    def score(self, outputs: "Tensor", labels: np.ndarray) -> float:
        """Give one number for a guard rail, 1 at best: the share that is explained, or answered rightly."""

    def spread(self, outputs: "Tensor", relation: LabelSets | None) -> dict[str, float]:
        """What a run that adjusts itself watches of outputs on rows without labels.

        ``collapsed`` is 0 or 1. Other numbers are those that ``collapsed_words`` writes.
        """
        return {}

    def collapsed_words(self, seen: Mapping[str, float]) -> str:
        """Say what collapsed outputs look like, from what ``spread`` gave."""
        return "the outputs on the target hardly differ from row to row"

    def certainty(self, outputs: "Tensor") -> float | None:
        """How sure the outputs are on average, as a probability; None where they are none."""
        return None

    def chance(self) -> float:
        """The loss of the best constant answer, about."""
        return 1.0

    def prior_shift(self, labels: np.ndarray, outputs: "Tensor") -> float | None:
        """How far the source's labels and the target's predictions lie apart, 0 to 1; None: not measured."""
        return None

    def cost(self, before: Evaluation, after: Evaluation) -> str | None:
        """Say what adapting cost on the source, where it cost too much to be trusted."""
        metric = after.primary or before.primary
        old, new = before.source or 0.0, after.source or 0.0
        if metric is None or metric.unit == SHARE:
            name = self.primary().shown if metric is None else metric.shown
            lost = old - new
            return f"adapting cost {100 * lost:.1f} points of {name} on the source" if lost > FLOOR else None
        worse = (new - old) * (-1 if metric.higher_is_better else 1)
        if before.source is None or after.source is None or worse <= FLOOR * abs(old):
            return None
        return f"adapting took the {metric.shown} on the source from {value(metric, old)} to {value(metric, new)}"

    def unlearned(self, before: Evaluation) -> str | None:
        """Say so where source-only knows too little of the source to label a target; None where nothing tells."""
        return None

    # saying

    def warnings(self, relation: LabelSets, labels: np.ndarray | None, method: Any, unknown: str | None) -> list[str]:
        """Say where a method does not suit how the labels of the domains relate."""
        return []

    def limits(self, record: RunRecord, does: str) -> list[str]:
        """What this task's models cannot do, for a card; ``does`` is what an input does: ``image shows``. Markdown."""
        return []

    def predicts(self, of: str) -> str:
        """A sentence on what the model predicts of an input, ``image`` or the like, for a card. Markdown."""
        return ""

    def doubts(self, record: RunRecord) -> list[str]:
        """What makes figures of this task say little, for a card. Markdown."""
        return []

    def notes(self, record: RunRecord, *, adapting: bool) -> str:
        """Lines under a card's table of results. Markdown."""
        return ""

    @classmethod
    def sets_called(cls, relation: LabelSets) -> str:
        """Name how the labels of two domains relate, for a plan; empty where there is nothing to tell."""
        return f"{relation.setting} set"

    def relation(self, record: RunRecord) -> str:
        """Say how the labels of the two domains relate, for a card. Markdown."""
        return described(record, self.Figures.group)

    def groups(self, labels: np.ndarray) -> np.ndarray | None:
        """The place of each row's label [n] among the outputs, to colour a plot by; None: labels are no groups."""
        return None

    def predicted(self, outputs: "Tensor") -> np.ndarray | None:
        """The same of what is predicted [n]."""
        return None

    def plots(self, record: RunRecord) -> dict[str, Callable[[Any, Any], None]]:
        """What to draw of the figures, by file name: functions of a path and a theme."""
        return {}

    @abstractmethod
    def primary(self) -> Metric:
        """Name the primary metric, without a value."""
