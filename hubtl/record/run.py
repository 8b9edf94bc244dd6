"""Record every fact of a run as JSON; the model card is a pure function of it."""

import json
import math
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from hubtl.errors import HubtlError
from hubtl.io import files, jsontext, plain
from hubtl.io.shown import plural
from hubtl.record import upgrade
from hubtl.record.ensemble import EnsembleFacts, MemberFacts
from hubtl.record.facts import DomainFacts, Facts, LabelSets, ModelFacts, Outputs, PluginFacts
from hubtl.record.figures import Difference, Evaluation
from hubtl.record.labelled import Verified

FORMAT_VERSION = 2
TRIPLE = re.compile(r"\[\n\s+(\d+),\n\s+(\d+),\n\s+(\d+)\n\s+\]")  # a line each; no string has a line break in it


def measured(value: Any) -> Any:
    """Replace values that are not finite by None. JSON has no word for them."""
    if isinstance(value, dict):
        return {k: measured(v) for k, v in value.items() if not isinstance(v, float) or math.isfinite(v)}
    if isinstance(value, list):
        return [None if isinstance(v, float) and not math.isfinite(v) else measured(v) for v in value]
    return value


class Candidate(Facts):
    """Record a checkpoint that could have been selected."""

    step: int
    scores: dict[str, float] = Field(default_factory=dict)  # by validator; higher is better
    guard: dict[str, float] = Field(default_factory=dict)  # what the guard rails saw: source-accuracy, collapsed (0, 1)
    merit: float = 0.0  # beside the other candidates, by the rule; higher is better


class Selection(Facts):
    rule: str = "last"
    oracle: bool = False  # True: the rule read target labels
    step: int | None = None
    candidates: list[Candidate] = Field(default_factory=list)


class Verdict(Facts):
    """Record whether to ship the adapted model or source-only, without target labels."""

    answer: Literal["adapted", "source-only", "undecided"]
    reason: str
    rail: bool = False  # True: a guard rail stands against the adapted model
    rows: int = 0  # to label, where that decides
    asks: bool = True  # False: nobody can be asked for the label of a row of this task
    disagreement: float | None = None  # share of the target's training rows to which the two models answer differently
    gap: str | None = None  # mean difference of those answers, where they are numbers: ``0.42 kg``
    tried: str | None = None  # the strategy that was dropped for source-only; None: nothing was dropped
    dropped: "Evaluation | None" = None  # its figures

    @model_validator(mode="before")
    @classmethod
    def _of_earlier(cls, given: Any) -> Any:
        return upgrade.verdict(given)

    @property
    def brief(self) -> str:
        """Summarise the verdict. The number of rows to label is said where that decides."""
        return f"{self.answer}, label {plural(self.rows, 'row')} to decide" if self.rows else self.answer

    @property
    def open(self) -> bool:
        """Return whether labels can still decide: nothing else does, or a guard rail that they overrule.

        They cannot where the two models answer alike.
        """
        return self.asks and (self.rows > 0 or (self.rail and self.disagreement != 0))

    @property
    def contested(self) -> bool:
        """Return whether either model may prove better: labels can decide, or none can be asked for."""
        return self.open or (not self.asks and self.disagreement != 0 and self.answer != "adapted")


class PhaseFacts(Facts):
    name: str
    sees: list[str]
    learns: dict[str, int]  # group -> trained parameters
    steps: int
    lr: dict[str, float] = Field(default_factory=dict)


class Adjustment(Facts):
    """Record an observation of a self-adjusting run, and its adjustment."""

    step: int  # updates done
    seen: str
    done: str


class Training(Facts):
    phases: list[PhaseFacts] = Field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    curves: list[dict[str, float]] = Field(default_factory=list)  # each: step, and losses or scores by name
    resumed: int = 0  # how often
    adjustments: list[Adjustment] = Field(default_factory=list)


class Calibration(Facts):
    """Record the temperatures of the head's logits."""

    rows: int  # labelled ones that they were fitted on
    temperatures: dict[str, float]  # of the head, or of the parts that it adds up
    loss_before: float  # cross-entropy of those rows
    loss_after: float


class Energy(Facts):
    """Record the machine's energy during training and evaluation. Other programs are included."""

    kwh: float
    parts: dict[str, float] = Field(default_factory=dict)  # cpu, gpu, ram: kWh each
    estimated: list[str] = Field(default_factory=list)  # those that no sensor measured
    meter: str = ""  # codecarbon 3.3.2
    partial: bool = False  # a run that was resumed: what was used before is not in it


class OnlineFacts(Facts):
    """Record a model that adapted to a stream while it was measured.

    Each batch was scored before the model learnt from it.
    """

    method: str
    options: dict[str, Any] = Field(default_factory=dict)
    figures: Evaluation
    batch_size: int
    seed: int | None = None  # of the order of the rows; None: as they lie in the dataset
    batches: int = 0
    learnt: int = 0  # rows that an update was computed from
    resets: int = 0
    collapses: int = 0  # resets by a guard
    warnings: list[str] = Field(default_factory=list)  # label runs, collapse


class LaterEvaluation(Facts):
    """Record a later evaluation of the finished model. It is on other rows or at test time.

    It selected nothing.
    """

    created: str  # ISO date
    data: DomainFacts
    figures: Evaluation  # of the model as it was saved
    online: OnlineFacts | None = None
    versions: dict[str, str] = Field(default_factory=dict)


class Ablated(Facts):
    """Record the run's recipe without one part of its method."""

    without: str
    changes: dict[str, Any]  # of the method's options
    figures: Evaluation
    seconds: float = 0.0


class Decision(Facts):
    """Record a key that the recipe left open. It has its decided value, and the reason."""

    key: str  # optim.lr
    value: Any
    because: str


class RunRecord(upgrade.Earlier, Facts):
    """Record every fact of a run."""

    format_version: int = FORMAT_VERSION
    status: Literal["running", "finished", "interrupted"] = "running"
    created: str = ""  # ISO date
    command: str = ""  # the exact command line, tokens never in it
    recipe: dict[str, Any] = Field(default_factory=dict)
    decisions: list[Decision] = Field(default_factory=list)  # in order; a key that was given has none
    setting: Literal["transfer", "adaptation", "source-free", "sequential"] = "adaptation"
    task: str = "classification"
    strategy: str = ""
    strategy_reason: str | None = None  # why "auto" picked it
    strategy_title: str = ""  # first line of its docstring
    strategy_options: dict[str, Any] = Field(default_factory=dict)
    strategy_package: str = "hubtl"
    strategy_version: str = ""
    plugins: list[PluginFacts] = Field(default_factory=list)  # all that took part and is not hubtl's own
    paper: str | None = None  # arXiv:1505.07818
    model: ModelFacts
    source: DomainFacts | None = None
    target: DomainFacts
    outputs: Outputs = Field(default_factory=Outputs)
    label_sets: LabelSets = Field(default_factory=lambda: LabelSets(setting="unknown"))
    unknown: str | None = None  # the last of the classes, for what is none of the others; None: there is none
    training: Training = Field(default_factory=Training)
    baseline_training: Training | None = None
    selection: Selection = Field(default_factory=Selection)
    source_only: Evaluation | None = None  # the baseline on the target's evaluation rows; None: not trained
    adapted: Evaluation | None = None
    difference: Difference | None = None  # of the two primary metrics
    calibration: Calibration | None = None  # of the model that is shipped; None: its logits are as they were trained
    ensemble: EnsembleFacts | None = None  # None: one model was trained, and is shipped as it is
    repeats: list[MemberFacts] = Field(default_factory=list)  # the run with each of its seeds; empty: it had one
    verdict: Verdict | None = None  # None: there is no source-only model to compare with
    verified: Verified | None = None  # what labels of single rows said of the two, after the run
    target_labels: Literal["none", "training", "few", "selection"] = "none"  # what for, evaluation apart
    target_told: list[int] = Field(default_factory=list)  # numbers of the rows whose labels were learnt from, where few
    target_told_mark: str | None = None  # tells the labels that a file gave from any others; None: no file did
    target_few: int | None = None  # rows whose labels were learnt from, a group of labels, where no file gave them
    warnings: list[str] = Field(default_factory=list)  # collapse, no label-free evidence, …
    native: bool = True  # False: only hubtl loads it
    not_native_because: str | None = None
    ablation: list[Ablated] = Field(default_factory=list)
    evaluations: list[LaterEvaluation] = Field(default_factory=list)  # after the run, oldest first
    plots: list[str] = Field(default_factory=list)  # file names under plots/
    versions: dict[str, str] = Field(default_factory=dict)
    hardware: dict[str, Any] = Field(default_factory=dict)
    energy: Energy | None = None  # None: not measured

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, given: Any) -> Any:
        return upgrade.record(given)

    def to_json(self) -> str:
        """Return the text of ``record.json``."""
        text = jsontext.text(measured(self.model_dump(mode="json")), indent=2) + "\n"
        return TRIPLE.sub(r"[\1, \2, \3]", text)

    def save(self, folder: Path) -> None:
        """Write ``record.json`` atomically: a reader never sees half of it."""
        files.write(folder / "record.json", self.to_json())

    @classmethod
    def load(cls, folder: Path) -> "RunRecord":
        """Read ``record.json``.

        Raises:
            HubtlError: if there is none, it is not a record, or a newer hubtl wrote it.
        """
        try:
            raw = json.loads(plain.text_of(folder / "record.json", plain.LARGEST_JSON))
            _check_version(raw, folder)
            return cls.model_validate(raw)
        except FileNotFoundError as error:
            raise HubtlError(
                f"{folder} has no record.json", hint="give the directory that hubtl adapt wrote"
            ) from error
        except (OSError, ValueError, RecursionError) as error:
            first = str(error).splitlines()[0]
            raise HubtlError(
                f"{folder / 'record.json'} cannot be read: {first}", hint="restore it, or run the recipe again"
            ) from error


def _check_version(raw: Any, folder: Path) -> None:
    """Raise HubtlError for a record that a newer hubtl wrote."""
    written = raw.get("format_version", 1) if isinstance(raw, dict) else 1
    if isinstance(written, int) and not isinstance(written, bool) and written > FORMAT_VERSION:
        raise HubtlError(
            f"{folder / 'record.json'} was made by a newer hubtl (format {written}, this one reads {FORMAT_VERSION})",
            hint="pip install --upgrade hubtl",
        )
