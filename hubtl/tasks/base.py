"""Define the interface of a task: everything that depends on the kind of labels."""

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
    from pathlib import Path

    from torch import Tensor, nn

    from hubtl.data.cells import Wanted
    from hubtl.data.labels import Labels

LEAST_SPREAD = 0.1  # of outputs: logits, or standardised numbers
FLOOR = 0.10  # of a share, and of any other metric's own value: what adaptation may cost on the source


class Task(Asking, ABC):
    """Own all that depends on labels; plugins register a subclass under ``hubtl.tasks``.

    Its module imports no torch at the top, because rendering a card imports it too.

    Attributes:
        name: the name under which it is registered.
        Figures: the model of its figures in a record.
        probabilities: whether a softmax of the outputs gives the probability of each. Methods and validators whose
            ``needs`` name ``probabilities`` are refused where it is False.
        no_probabilities: the reason why it is False, to follow the name of the task.
        kind: the Hub's name of the task after the modality: ``classification`` of ``image-classification``.
        pipeline: the task in the Hub's tags after the modality, where that is not ``kind``.
        pipeline_tags: the Hub's tag by modality, where it is none of these.
        metrics: the Hub's names of the card's metrics, by the names of ``Figures.rows()``.
        scores: validators that score every checkpoint; none reads target labels.
        guard: the validator among them that a guard rail watches: accuracy on the source, for example.
        voters: validators that vote on the finished models.
        oracle: the validator that reads target labels.
        picks: the choice of ``--strategy auto`` and its reason, by setting and relation (None: any other).
        viewed: its choice and reason for closed label sets where a backbone learns from images: a method with strong views.
        dense: whether each site of an input has a label and an answer of its own. Outputs of whole rows are
            [n, sites, k] then, and backbones give maps.
        draws: pictures that an answer draws of its image, by the names of ``Answer.drawn``.
        bars: whether an answer is one of the outputs, to be shown with the probability of each.
        rankers: scores of ``fits`` by which ``hubtl rank`` may rank; the first one is the default.
        head_defaults: recipe keys for training a head on a frozen backbone, unless recipe or strategy set others.
        scale_free: whether outputs times a constant give the same answers, as logits do; numbers do not.
        members: strategies whose models ``auto`` averages on a frozen backbone, for closed label sets.
        augments: whether random crops and flips preserve a label.
        scores_said: a card's words on the validators' scores, by name.
        printed: what code on a card prints of an ``answer``, where hubtl loads the model; None: its ``label``, or what
            ``prints`` makes of the outputs.
        unlabelled_hint: the hint for data in which no labels were found.
        problem_type: transformers' ``problem_type`` in a model's configuration; None: none.
    """

    name: ClassVar[str]
    Options: ClassVar[type[TaskOptions]] = TaskOptions
    Figures: ClassVar[type[Figures]] = Figures
    probabilities: ClassVar[bool] = False
    no_probabilities: ClassVar[str] = "has none"
    kind: ClassVar[str] = "other"
    pipeline: ClassVar[str | None] = None
    pipeline_tags: ClassVar[Mapping[str, str]] = {}
    metrics: ClassVar[Mapping[str, str]] = {}
    scores: ClassVar[tuple[str, ...]] = ("source-score",)
    guard: ClassVar[str] = "source-score"
    voters: ClassVar[tuple[str, ...]] = ("dev",)
    oracle: ClassVar[str] = "target-score"
    picks: ClassVar[Mapping[tuple[str, str | None], tuple[str, str]]] = {}
    viewed: ClassVar[tuple[str, str] | None] = None
    rankers: ClassVar[tuple[str, ...]] = ()
    head_defaults: ClassVar[Mapping[str, Any]] = {}
    augments: ClassVar[bool] = True
    scale_free: ClassVar[bool] = False
    members: ClassVar[tuple[str, ...]] = ()
    problem_type: ClassVar[str | None] = None
    dense: ClassVar[bool] = False
    bars: ClassVar[bool] = False
    draws: ClassVar[tuple[str, ...]] = ()
    captions: ClassVar[Mapping[str, str]] = {}
    scores_said: ClassVar[Mapping[str, str]] = {}
    printed: ClassVar[str | None] = "answer.row()"
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
        """Find the label columns of a ``datasets.Dataset``.

        A task of a saved model knows its ``outputs``: columns with their names come first.

        Args:
            dataset: the data set.
            asked: columns that the recipe names, or None.
            where: the data set's name, for errors.
            aside: a column that holds no labels, such as the one that names domains.

        Returns:
            The names of the columns (empty without labels), and reasons why others were passed over.

        Raises:
            HubtlError: for columns that were asked for and do not hold labels of this task.
        """

    def offer(self, dataset: Any) -> tuple[list[str], dict[str, str]]:
        """Return columns that could be read if asked for. The options to add come with them.

        It serves hints.
        """
        return self.find(dataset, None, "")[0], {}

    def with_options(self, options: Mapping[str, str]) -> "Task":
        """Return this task with other values of some options."""
        return type(self)(self.outputs, self.options.model_copy(update=dict(options))) if options else self

    def folder(self, path: "Path", wanted: "Wanted") -> Any:
        """Read a folder in a layout of this task's own.

        Args:
            path: the folder.
            wanted: what to read.

        Returns:
            A ``datasets.DatasetDict``, or None for any other folder.

        Raises:
            HubtlError: for such a folder that is damaged.
        """
        return None

    def beside(self, dataset: str) -> "Task":
        """Return this task with the names in files beside a data set.

        ``dataset`` is its name as the user typed it. By default nothing is read.
        """
        return self

    @abstractmethod
    def read(
        self, parts: Sequence[Any], columns: Sequence[str], where: str, called: Sequence[str], known: Outputs | None
    ) -> "Labels":
        """Read the label columns of the splits of a domain.

        Args:
            parts: the splits, each a ``datasets.Dataset``.
            columns: names of the label columns.
            where: the data set's name, for errors.
            called: names of the splits.
            known: the outputs of the other domain, if there is one.

        Raises:
            HubtlError: for a value that is no label; the message names its row.
        """

    @abstractmethod
    def present(self, labels: np.ndarray) -> np.ndarray:
        """Return the mask [n] of rows with a usable label. It can be learnt from or scored."""

    def unlabelled(self, labels: np.ndarray) -> np.ndarray:
        """Return the mask [n] of rows without any label."""
        return ~self.present(labels)

    def strata(self, dataset: Any, columns: Sequence[str]) -> np.ndarray | None:
        """Return the stratum [n] of each row for held-out splits; None splits at random.

        Args:
            dataset: the data set.
            columns: names of the label columns.
        """
        return None

    def check_source(self, labels: np.ndarray, outputs: Outputs, where: str) -> dict[str, int]:
        """Count the source's labels by name.

        Args:
            labels: labels [n, …].
            outputs: their meaning.
            where: the data set's name, for errors.

        Raises:
            HubtlError: where nothing can be learnt from them.
        """
        return {}

    @abstractmethod
    def relate(
        self, source: Outputs | None, target: Outputs | None, *, called: str = "source", open_set: bool = False
    ) -> Related:
        """Return the model's outputs, and the relation of the two domains' labels.

        Without a source the outputs are the target's own.

        Args:
            source: outputs of the source, or of the model to adapt.
            target: outputs of the target; None: not known.
            called: the source's name, for errors.
            open_set: whether an output for unknown classes is added.

        Raises:
            HubtlError: where they share nothing.
        """

    @abstractmethod
    def targets(self, labels: np.ndarray, own: Outputs, outputs: Outputs, other: int | None = None) -> np.ndarray:
        """Map the labels of a domain to those of a model.

        Args:
            labels: labels [n, …] that mean ``own``.
            own: outputs of the domain.
            outputs: outputs of the model.
            other: the output for labels that the model lacks; None: there is none.
        """

    def at_sites(self, labels: np.ndarray, sites: int) -> np.ndarray:
        """Return the label of each site of each row; of a task that is not dense the labels themselves.

        Args:
            labels: labels [n, …].
            sites: sites of a row.

        Returns:
            Labels [n, sites] of a dense task.
        """
        return labels

    def learn(self, labels: np.ndarray) -> None:
        """Fit the loss's needs to the training labels, such as a scale; by default nothing."""

    def few(self, labels: np.ndarray | None, k: int, rng: np.random.Generator) -> np.ndarray:
        """Sample the rows whose labels may be learnt from.

        Args:
            labels: labels [n, …].
            k: rows of each class.
            rng: the random generator.

        Raises:
            HubtlError: without labels.
        """
        raise HubtlError(
            f"--target-labels-per-class counts rows of a class, and {self.name} has no classes",
            hint="leave it out",
        )

    def unmet(self, labels: np.ndarray) -> list[str]:
        """Return the names of outputs without a label: a class without a row, for example."""
        return []

    def fits(
        self, features: np.ndarray, labels: np.ndarray, kept: tuple[np.ndarray, np.ndarray] | None = None
    ) -> dict[str, Callable[[], float]]:
        """Return scores of how well features fit labels. They are the ``rankers``, as functions to call.

        Higher is better. A score raises ValueError where it cannot be measured.

        Args:
            features: features [n, d].
            labels: labels [n, …].
            kept: weight [z, d] and bias [z] of the pretrained classifier, if there is one.
        """
        return {}

    def probe(self) -> Metric:
        """Return the metric of the score ``linear-probe``."""
        return self.primary()

    # model

    def head(self, width: int) -> "nn.Linear":
        """Make a new head on pooled features of a width."""
        from torch import nn

        return nn.Linear(width, len(self.outputs.names))

    @abstractmethod
    def losses(self, outputs: "Tensor", labels: "Tensor") -> "Tensor":
        """Return the supervised loss [b] of each row; rows without a label have zero.

        Args:
            outputs: outputs [b, k].
            labels: labels [b, …].
        """

    def loss(self, outputs: "Tensor", labels: "Tensor | None", weight: "Tensor | None" = None) -> "Tensor":
        """Return the mean supervised loss of a batch, a scalar.

        Args:
            outputs: outputs [b, k].
            labels: labels [b, …].
            weight: weights [b] of the rows; None weighs all the same.

        Raises:
            HubtlError: if the labels are sealed.
        """
        if labels is None:
            raise HubtlError(
                "a supervised loss was asked for on a sealed stream: its labels are not there",
                hint="compute it on the source stream, or use a strategy for a labelled target",
            )
        each = self.losses(outputs.float(), labels)
        return each.mean() if weight is None else (weight * each).mean()

    def export(self, classifier: "nn.Linear") -> "nn.Linear":
        """Return the last layer as the model's users expect its outputs.

        It is changed in place or made anew.
        """
        return classifier

    def fit(self, outputs: "Tensor", labels: np.ndarray, *, held_out: bool = True) -> "Task":
        """Return the task of one trained model, fitted to its outputs. Thresholds, margins and the like are fitted.

        Args:
            outputs: outputs [n, k] on labelled rows, which are never sealed.
            labels: labels [n, …] of these rows.
            held_out: whether training did not learn from these rows.
        """
        return self

    def exported(self) -> Outputs:
        """Return the meaning of the saved model's outputs."""
        return self.outputs

    def prints(self, library: str | None = None) -> str:
        """Return Python code that prints one input's answer. The answer is in the tensor ``logits``.

        Args:
            library: the library that loaded ``model``, which knows the names of its outputs; None: they are in
                ``names``.
        """
        return f"print([({names_in(library)}[i], x) for i, x in enumerate(logits[0].tolist())])"

    def readout(self) -> dict[str, Any]:
        """Return how outputs become answers, in plain values for programs without hubtl."""
        return {"details": self.outputs.details} if self.outputs.details else {}

    @abstractmethod
    def decode(self, names: Sequence[str], outputs: "Tensor") -> list[Answer]:
        """Decode outputs into answers.

        Args:
            names: names of the inputs.
            outputs: outputs [b, k].
        """

    def check_explains(self, label: str | None = None) -> None:
        """Check that this task's answers can be explained.

        Raises:
            HubtlError: if they cannot, and for a label that the task does not have.
        """
        if not self.probabilities:
            raise HubtlError(
                f"what is explained is the probability of an answer, and {self.name} has none", hint="hubtl predict"
            )
        if label is not None and label not in self.outputs.names:
            raise unknown(self.Figures.group, label, self.outputs.names)

    def explain(self, forward: "Callable[[Mapping[str, Tensor]], Tensor]", cover: Any, **options: Any) -> Any:
        """Explain an answer by the effect of each part of the row.

        Args:
            forward: maps inputs to outputs.
            cover: takes parts of the row away (``hubtl.modalities.base.Cover``).
            **options: ``label`` (None: the answer), ``seed``, ``orders``, ``folder``.

        Raises:
            HubtlError: for a task whose answers cannot be explained.
        """
        raise HubtlError(f"{self.name} does not explain its answers", hint="hubtl predict")

    def about(self) -> str:
        """Summarise the outputs: ``10 classes``."""
        n, group = len(self.outputs.names), self.Figures.group
        return f"{n:,} {group if n == 1 else many(group)}"

    def distil(self, outputs: "Tensor", teacher: "Tensor") -> "Tensor":
        """Return the distillation loss of outputs against a teacher's, a scalar.

        By default it is the smooth absolute error in the teacher's spread: squares of large errors make a student
        diverge that starts far away.

        Args:
            outputs: outputs [b, k] of the student.
            teacher: outputs [b, k] of the teacher.
        """
        from torch.nn.functional import smooth_l1_loss

        # outputs that hardly differ from row to row are no scale: divided by them, small errors explode
        spread = teacher.std(dim=0).clamp_min(LEAST_SPREAD) if len(teacher) > 1 else 1.0
        loss: Tensor = smooth_l1_loss(outputs / spread, teacher / spread)
        return loss

    # judging

    @abstractmethod
    def meter(self) -> Meter:
        """Make a new meter."""

    def evaluation(self, outputs: "Tensor", targets: np.ndarray | None) -> Evaluation:
        """Evaluate outputs against labels.

        Args:
            outputs: outputs [n, k].
            targets: labels [n, …]; None computes only what needs no labels.
        """
        meter = self.meter()
        meter.update(outputs, targets)
        return meter.result()

    def gauge(self, outputs: "Tensor", labels: np.ndarray) -> dict[str, Any] | None:
        """Return what ``estimate`` needs from labelled rows outside training.

        It is small and plain, for a record; None for a task that has no estimate.

        Args:
            outputs: outputs [n, k].
            labels: labels [n, …].
        """
        return None

    def estimate(
        self, models: Sequence[tuple["Tensor", Mapping[str, Any]]], *, adapted: bool = True
    ) -> Estimate | None:
        """Estimate the first model's primary metric on rows without labels.

        Args:
            models: for each model its outputs [m, k] on these rows, and the result of ``gauge``. Models beside the
                first help where they contradict it.
            adapted: whether the first one learnt on the target.
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
        """Return a lower bound of the primary metric on rows without labels.

        Args:
            source: outputs [n, k] on labelled source rows that training did not learn from.
            labels: labels [n, …] of these rows.
            target: outputs [m, k] on the rows without labels.
            beside: source-only's outputs on both sets of rows.
            beat: the value to exceed.

        Returns:
            None where the bound cannot exceed ``beat``, and for a task that has no bound.
        """
        return None

    def calibrate(
        self, head: "nn.Linear", features: "Tensor", labels: np.ndarray, blocks: Mapping[str, slice]
    ) -> tuple[dict[str, float], float, float]:
        """Scale the blocks of a head's weight to fit labels. Each block's scale maximises their likelihood.

        Args:
            head: the head.
            features: features [n, d].
            labels: labels [n, …].
            blocks: slices of the features by name.

        Returns:
            The factors by block, and the loss before and after.

        Raises:
            HubtlError: for a task without probabilities.
        """
        raise HubtlError(f"{self.name} has no temperature to fit", hint="leave run.calibrate out")

    def collapse(self, outputs: "Tensor", relation: LabelSets) -> str | None:
        """Return a reason why the target outputs look collapsed, or None.

        Args:
            outputs: outputs [n, k] on the target.
            relation: the relation of the domains' labels.
        """
        return None

    @abstractmethod
    def score(self, outputs: "Tensor", labels: np.ndarray) -> float:
        """Return one number for a guard rail, at most 1: accuracy or explained variance.

        Args:
            outputs: outputs [n, k].
            labels: labels [n, …].
        """

    def spread(self, outputs: "Tensor", relation: LabelSets | None) -> dict[str, float]:
        """Return the numbers that a self-adjusting run watches on rows without labels.

        ``collapsed`` is 0 or 1. ``collapsed_words`` describes the other numbers.

        Args:
            outputs: outputs [n, k].
            relation: the relation of the domains' labels; None: not known.
        """
        return {}

    def collapsed_words(self, seen: Mapping[str, float]) -> str:
        """Describe collapsed outputs by the result of ``spread``."""
        return "the outputs on the target hardly differ from row to row"

    def certainty(self, outputs: "Tensor") -> float | None:
        """Return the mean confidence of the outputs as a probability; None without probabilities."""
        return None

    def chance(self) -> float:
        """Return the approximate loss of the best constant answer."""
        return 1.0

    def prior_shift(self, labels: np.ndarray, outputs: "Tensor") -> float | None:
        """Return the distance of source labels and target predictions, 0 to 1.

        Args:
            labels: labels [n, …] of the source.
            outputs: outputs [m, k] on the target.

        Returns:
            None where it is not measured.
        """
        return None

    def cost(self, before: Evaluation, after: Evaluation) -> str | None:
        """Describe a large loss of quality on the source. It is one that makes the model hard to trust.

        Args:
            before: source-only on the source.
            after: the adapted model on the source.
        """
        metric = after.primary or before.primary
        old, new = before.source or 0.0, after.source or 0.0
        if metric is None or metric.unit == SHARE:
            name = self.primary().shown if metric is None else metric.shown
            lost = old - new
            return f"adapting cost {100 * lost:.1f} points of {name} on the source" if lost > FLOOR else None
        worse = (new - old) * (-1 if metric.higher_is_better else 1)
        if before.source is None or after.source is None or worse <= FLOOR * abs(old):
            return None
        scores = before.scores.get(self.guard), after.scores.get(self.guard)
        if scores[0] is not None and scores[1] is not None and scores[0] - scores[1] <= FLOOR:
            return None  # a tenth of a small error is no loss: the score measures it against knowing nothing
        return f"adapting took the {metric.shown} on the source from {value(metric, old)} to {value(metric, new)}"

    def unlearned(self, before: Evaluation) -> str | None:
        """Warn where source-only knows too little of the source, else None. It could not label a target."""
        return None

    # saying

    def warnings(self, relation: LabelSets, labels: np.ndarray | None, method: Any, unknown: str | None) -> list[str]:
        """Warn where a method does not suit the domains' labels. The relation of the labels decides.

        Args:
            relation: the relation of the domains' labels.
            labels: labels [n, …] of the source, where they may be read.
            method: the strategy's class.
            unknown: the name of the output for unknown classes, if there is one.
        """
        return []

    def limits(self, record: RunRecord, does: str) -> list[str]:
        """Describe the limits of this task's models, for a card. Markdown.

        Args:
            record: the record of the run.
            does: what an input does: ``image shows``.
        """
        return []

    def predicts(self, of: str) -> str:
        """Describe the prediction for an input, for a card. Markdown.

        ``of`` is ``image`` or another kind of input.
        """
        return ""

    def doubts(self, record: RunRecord) -> list[str]:
        """Describe why figures of this task may mean little, for a card. Markdown."""
        return []

    def notes(self, record: RunRecord, *, adapting: bool) -> str:
        """Return lines to print under a card's table of results. Markdown.

        Args:
            record: the record of the run.
            adapting: whether the run adapted a model to an unlabelled target.
        """
        return ""

    @classmethod
    def sets_called(cls, relation: LabelSets) -> str:
        """Name the relation of two domains' labels, for a plan; empty where there is nothing to report."""
        return f"{relation.setting} set"

    def relation(self, record: RunRecord) -> str:
        """Describe the relation of the two domains' labels, for a card. Markdown."""
        return described(record, self.Figures.group)

    def groups(self, labels: np.ndarray) -> np.ndarray | None:
        """Return the output [n] of each row's label, to colour a plot; None: labels are no groups."""
        return None

    def predicted(self, outputs: "Tensor") -> np.ndarray | None:
        """Return the predicted output [n] of each row, to colour a plot; None as in ``groups``."""
        return None

    def plots(self, record: RunRecord) -> dict[str, Callable[[Any, Any], None]]:
        """Return the plots of the figures by file name: functions of a path and a theme."""
        return {}

    @abstractmethod
    def primary(self) -> Metric:
        """Return the primary metric, without a value."""
