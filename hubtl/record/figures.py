"""Record the figures of a model on labelled rows: a primary metric, and the task's figures."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field, PrivateAttr, SerializeAsAny, field_validator, model_validator

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.record import upgrade
from hubtl.record.facts import Facts
from hubtl.record.upgrade import RENAMED, evaluation

PART = 2**22  # weights that are drawn at a time
SHARE = "share"  # the unit of what is a share of one, and is shown in percent


class Metric(Facts):
    """Hold one number, with its unit and direction."""

    name: str  # accuracy
    value: float | None = None  # None: not measured
    title: str = ""  # in words; empty: the name
    unit: str = SHARE  # of the value; empty: it has none
    higher_is_better: bool = True
    proportion: bool = False  # True: the share of the rows that were answered rightly
    interval: tuple[float, float] | None = None  # 95 %, where it was resampled

    @property
    def shown(self) -> str:
        """Return its name in a table."""
        return self.title or self.name.replace("_", " ")

    def gain(self, after: "Metric") -> float | None:
        """Return the improvement of ``after``, negative if worse; None where one was not measured."""
        if self.value is None or after.value is None:
            return None
        return (after.value - self.value) * (1 if self.higher_is_better else -1)


class Group(Facts):
    """Hold the figures of some rows, or of one output; the first metric is compared."""

    name: str
    n: int  # rows
    metrics: list[Metric] = Field(default_factory=list)

    @classmethod
    def of(cls, score: Any, titles: Mapping[str, str]) -> "Group":
        """Return the group of a class's ``score``: its name, its ``n``, and the metrics that ``titles`` names."""
        metrics = [Metric(name=name, title=title, value=getattr(score, name)) for name, title in titles.items()]
        return cls(name=score.name, n=score.n, metrics=metrics)


class Figures(Facts):
    """Hold the figures of a task; a task registers a subclass.

    Read from a file without the package of its task, it keeps what it was given, and shows the plain numbers.
    """

    model_config = ConfigDict(extra="allow")
    group: ClassVar[str] = "output"  # what one of ``groups`` is

    task: str
    _resampled: Callable[[np.ndarray], np.ndarray] | None = PrivateAttr(None)

    @property
    def resampled(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """Return a function that gives the primary metric [r]. Its arguments are row weights [r, n].

        None where the rows are gone, as in figures that were read from a file.
        """
        return self._resampled

    def primary(self) -> Metric | None:
        """Return the primary metric; None without one."""
        return None

    def rows(self) -> list[Metric]:
        """Return every metric of a table of figures, the primary one first."""
        extra = self.model_extra or {}
        numbers = {n: v for n, v in extra.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        return [Metric(name=name, value=value, unit="") for name, value in numbers.items()]

    def headline(self) -> list[Metric]:
        """Return the metrics beside the primary one, for a card's top."""
        return []

    def brief(self) -> list[Metric]:
        """Return the metrics beside the primary one in a narrow table."""
        return []

    def groups(self) -> list[Group]:
        """Return the figures by class, or by output."""
        return []

    def unscored(self) -> dict[str, int]:
        """Return the rows that enter no figure, by reason: ``of unknown classes``."""
        return {}

    def slim(self) -> "Figures":
        """Return the numbers alone, without lists."""
        kept = {name: v for name, v in self.model_dump().items() if not isinstance(v, list | dict)}
        return type(self).model_validate(kept)

    def numbers(self) -> dict[str, float | int | None]:
        """Return the figures that are one number each, by name."""
        return {metric.name: metric.value for metric in self.rows()}


def drawn(metric: Callable[[np.ndarray], np.ndarray], rows: int, resamples: int = 2000) -> np.ndarray:
    """Return a metric [resamples] of rows drawn with replacement.

    The same rows are drawn at each call.

    Args:
        metric: maps weights [r, n] of the rows to the metric [r].
        rows: the number of rows n.
        resamples: the number of draws.
    """
    rng = np.random.default_rng(0)
    step = max(1, PART // max(1, rows))
    parts = [min(step, resamples - start) for start in range(0, resamples, step)]
    each = np.full(rows, 1 / rows)
    return np.concatenate([metric(rng.multinomial(rows, each, size=part)) for part in parts])


def of_task(given: Any) -> Any:
    """Parse plain figures as the model of their task. Without its package they are ``Figures``."""
    if not isinstance(given, Mapping):
        return given
    try:
        known: type[Figures] = plugins.load("tasks", str(given.get("task"))).Figures
    except HubtlError:
        known = Figures
    return known.model_validate(given)


class SubsetScore(Facts):
    """Hold a multimodal model's figures on incomplete or corrupted rows. They lack a modality or have one corrupted."""

    name: str  # "without image", "image only", "image corrupted, severity 3"
    n: int
    primary: float | None = None  # the value of the primary metric
    brief: dict[str, float] = Field(default_factory=dict)  # what a narrow table shows beside it, by name
    certainty: float | None = None  # mean probability of the answers, where they have one; no label is read

    @model_validator(mode="before")
    @classmethod
    def _of_earlier(cls, given: Any) -> Any:
        return upgrade.subset(given)


class Shift(Facts):
    """Hold the shift between source and target, without target labels. It holds under one model."""

    a_distance: float | None = None  # of the features, proxy: 0 (alike) to 2 (always told apart)
    mmd: float | None = None  # of the features, squared, multi-kernel, unbiased: may be a little below 0
    class_prior: float | None = None  # total variation, 0..1: the source's labels against the target's predictions
    rows: list[int] = Field(default_factory=list)  # of source and target that it was measured on


class Beside:
    """Hold outputs on source and target rows for a second model's estimate.

    They are no fact: neither saved nor compared.
    """

    def __init__(self) -> None:
        self.both: tuple[Any, Any] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Beside)

    __hash__ = None  # type: ignore[assignment]


FARTHEST = 0.3  # mean error of an estimate that says next to nothing


class Estimate(Facts):
    """Hold an estimate of the primary metric on rows without labels.

    It is no measurement, and selects nothing.
    """

    value: float
    error: float  # mean absolute error of such estimates, as benchmarks measured it, and more on few rows
    reach: float  # nine of ten of them are nearer to the truth than this
    method: str  # by which it was made
    rows: int  # without labels, of which it tells
    widened: bool = False  # fewer rows than those of the benchmarks: their errors, and what drawing so few adds
    kept: dict[str, Any] = Field(default_factory=dict)  # the task's own, of labelled source rows: for other rows later
    _beside: "Beside" = PrivateAttr(default_factory=lambda: Beside())

    @property
    def tells(self) -> bool:
        """Return whether the estimate is accurate enough to be reported; for few rows it is not."""
        return self.error <= FARTHEST


class Bound(Facts):
    """Hold a lower bound of the primary metric on rows without labels.

    It is informative only above the value that it has to exceed.
    """

    value: float
    beat: float  # the estimate of source-only
    level: float  # how often such a bound holds, as far as its assumption does
    method: str  # by which it was made
    rows: list[int] = Field(default_factory=list)  # of source and target that it was measured on

    @property
    def separates(self) -> bool:
        """Return whether the model is better than source-only."""
        return self.value > self.beat


class Difference(Facts):
    """Hold the 95 % interval of adapted less source-only in the primary metric.

    It comes from resampling the rows of both.
    """

    low: float
    high: float
    resamples: int

    def shows(self, metric: "Metric | None") -> bool:
        """Return whether the whole interval is in favour of the adapted model."""
        return self.low > 0 if metric is None or metric.higher_is_better else self.high < 0


class Evaluation(Facts):
    """Hold the evaluation of one model on one stream.

    Everything outside a task reads ``primary`` and ``figures.rows()`` alone.
    """

    n: int  # rows that were scored; of an unlabelled stream those that were predicted
    unlabelled_rows: int = 0  # rows besides, without a label: not scored
    primary: Metric | None = None  # None: not measured
    figures: SerializeAsAny[Figures] | None = None  # those of the task
    shift: Shift | None = None
    subsets: list[SubsetScore] = Field(default_factory=list)  # of several modalities; the figures above have all
    scores: dict[str, float] = Field(default_factory=dict)  # label-free validators, higher is better
    collapse: str | None = None  # why the predictions on the target look collapsed
    source: float | None = None  # the primary metric on the source's evaluation rows
    estimate: Estimate | None = None  # of the primary metric, without labels; None: nothing to make one from
    bound: Bound | None = None  # of an adapted model's; None: it could not lie above the estimate of source-only
    sources: dict[str, float] = Field(default_factory=dict)  # of each of several sources

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, given: Any) -> Any:
        return evaluation(given)

    @field_validator("figures", mode="before")
    @classmethod
    def _of_task(cls, given: Any) -> Any:
        return of_task(given)

    @model_validator(mode="after")
    def _with_primary(self) -> "Evaluation":
        if self.primary is None and self.figures is not None:
            self.primary = self.figures.primary()
        return self

    @property
    def value(self) -> float | None:
        """Return the primary metric; None: not measured."""
        return None if self.primary is None else self.primary.value

    def slim(self) -> "Evaluation":
        """Return the numbers, the subsets, and the collapse alone."""
        figures = None if self.figures is None else self.figures.slim()
        return Evaluation(
            n=self.n,
            unlabelled_rows=self.unlabelled_rows,
            primary=self.primary,
            figures=figures,
            subsets=self.subsets,
            collapse=self.collapse,
            source=self.source,
        )

    def unscored(self) -> dict[str, int]:
        """Return the rows that enter no figure, by reason."""
        own = {} if self.figures is None else self.figures.unscored()
        return own | ({"without a label": self.unlabelled_rows} if self.unlabelled_rows else {})

    def numbers(self) -> dict[str, Any]:
        """Return the figures that are one number each, as ``--json`` prints them."""
        own = {} if self.figures is None else self.figures.numbers()
        primary = None if self.primary is None else self.primary.model_dump(mode="json")
        return {"n": self.n, "unlabelled_rows": self.unlabelled_rows, "primary": primary, **own, "source": self.source}

    def flat(self) -> dict[str, Any]:
        """Return everything in one mapping, as ``--json`` prints it. The task's figures are included."""
        plain = self.model_dump(mode="json")
        return {**plain, **(plain.pop("figures") or {})}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return one of the task's figures by name, such as ``evaluation.accuracy``.

            Records of version 1 had them as fields.
            """
            if name in RENAMED:
                return getattr(self, RENAMED[name])
            figures = self.__dict__.get("figures")
            if figures is not None and not name.startswith("_"):
                return getattr(figures, name)
            return super().__getattr__(name)
