"""The record: every fact that a run found, as JSON. The model card is a pure function of it."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from hubtl.errors import HubtlError
from hubtl.io import files, jsontext, plain

FORMAT_VERSION = 1
TRIPLE = re.compile(r"\[\n\s+(\d+),\n\s+(\d+),\n\s+(\d+)\n\s+\]")  # a line each; no string has a line break in it


def measured(value: Any) -> Any:
    """Plain values without what is not finite: JSON has no word for it, and it was not measured."""
    if isinstance(value, dict):
        return {k: measured(v) for k, v in value.items() if not isinstance(v, float) or math.isfinite(v)}
    if isinstance(value, list):
        return [None if isinstance(v, float) and not math.isfinite(v) else measured(v) for v in value]
    return value


class Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Step(Facts):
    """A model that an earlier run started from, and what that run did."""

    base: str  # Hub id, or a name
    revision: str | None = None
    strategy: str
    target: str | None = None


class ModelFacts(Facts):
    """The backbone that the run started from."""

    name: str  # as the user gave it
    library: Literal["timm", "transformers", "torchvision", "hubtl"]  # whose format the result has
    architecture: str
    pretrained: bool
    base_model: str | None = None  # Hub id, when there is one
    revision: str | None = None  # commit of base_model
    weights: str | None = None  # weights' tag, such as resnet50.a1_in1k
    license: str | None = None  # of the weights, as their own metadata says; None: unknown
    parameters: int = 0
    width: int = 0  # of the pooled features
    input: dict[str, Any] = Field(default_factory=dict)  # of images size, channels, mean, std, …
    tuner: str = "full"
    trained_parameters: int = 0
    parts: dict[str, dict[str, Any]] = Field(default_factory=dict)  # modality -> encoder, where there are several
    modalities: list[str] = Field(default_factory=lambda: ["image"])  # what it takes
    lineage: list[Step] = Field(
        default_factory=list
    )  # how the base model was made by earlier runs, the first one first
    notes: list[str] = Field(default_factory=list)  # "one-channel images are repeated to three channels"


class DomainFacts(Facts):
    dataset: str  # as given, without private parts of a local path
    hub_id: str | None = None  # user/name, when it is on the Hub
    config: str | None = None
    revision: str | None = None
    fingerprint: str = ""
    license: str | None = None
    domain: str | None = None
    domains: list[str] = Field(default_factory=list)  # where there are several
    split: str = ""
    eval_split: str | None = None
    rows: int = 0
    eval_rows: int = 0
    labelled: bool = True
    eval_labelled: bool = True
    unlabelled_rows: int = 0  # of a split with labels, training rows without one; a source leaves them out
    eval_unlabelled_rows: int = 0  # and evaluation rows without one, which are not scored
    class_counts: dict[str, int] = Field(default_factory=dict)  # of source training rows; empty when sealed
    columns: dict[str, str] = Field(default_factory=dict)  # image, label -> column name
    skipped: list[str] = Field(default_factory=list)  # unreadable samples, by name
    pixels: dict[str, list[float]] = Field(
        default_factory=dict
    )  # black and white of images of more than eight bits: integers, floats


class LabelSets(Facts):
    """How the classes of the two domains relate."""

    setting: Literal["closed", "partial", "open", "open-partial", "unknown"]
    shared: list[str] = Field(default_factory=list)
    source_only: list[str] = Field(default_factory=list)
    target_only: list[str] = Field(default_factory=list)
    respelt: dict[str, str] = Field(default_factory=dict)  # shared ones that the target writes otherwise: how


class ClassScore(Facts):
    name: str
    n: int  # rows of that class
    recall: float | None  # None: no rows
    precision: float | None  # None: never predicted
    f1: float | None


class SubsetScore(Facts):
    """What a model of several modalities did on rows that lack one, or have one spoiled."""

    name: str  # "without image", "image only", "image corrupted, severity 3"
    n: int
    accuracy: float | None = None
    balanced_accuracy: float | None = None
    confidence: float | None = None  # mean probability of the predicted class; no label is read


class Shift(Facts):
    """How far source and target lie apart under one model, as far as that is seen without target labels."""

    a_distance: float | None = None  # of the features, proxy: 0 (alike) to 2 (always told apart)
    mmd: float | None = None  # of the features, squared, multi-kernel, unbiased: may be a little below 0
    class_prior: float | None = None  # total variation, 0..1: the source's labels against the target's predictions
    rows: list[int] = Field(default_factory=list)  # of source and target that it was measured on


class ReliabilityBin(Facts):
    """Rows of which the model was about as sure."""

    confidence: float  # mean, 0..1
    accuracy: float
    n: int


class Difference(Facts):
    """The 95 % interval of adapted less source-only accuracy, from resampling the rows that both were measured on."""

    low: float
    high: float
    resamples: int


# Fields of an evaluation that are one number each, whatever the classes are.
NUMBERS = {
    "n",
    "unknown_class_rows",
    "unlabelled_rows",
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "ece",
    "source_accuracy",
}


class Evaluation(Facts):
    """What one model did on one labelled stream; figures are None ("not measured") without labels."""

    n: int
    unknown_class_rows: int = 0  # rows besides, of classes that the model does not know: not scored
    unlabelled_rows: int = 0  # rows besides, without a label: not scored
    accuracy: float | None = None  # 0..1, as all figures here
    balanced_accuracy: float | None = None
    macro_f1: float | None = None
    ece: float | None = None  # expected calibration error, 15 bins
    known_recall: float | None = None  # open-set runs: mean recall of the known classes (OS*)
    unknown_recall: float | None = None  # (UNK)
    hos: float | None = None  # harmonic mean of the two
    per_class: list[ClassScore] = Field(default_factory=list)
    confusion_cells: list[tuple[int, int, int]] = Field(default_factory=list)  # [truth, prediction, rows], rows > 0
    predicted_counts: list[int] = Field(default_factory=list)
    reliability: list[ReliabilityBin] = Field(default_factory=list)  # bins of equal width that have rows
    shift: Shift | None = None
    subsets: list[SubsetScore] = Field(default_factory=list)  # of several modalities; the figures above have all
    scores: dict[str, float] = Field(default_factory=dict)  # label-free validators, higher is better
    collapse: str | None = None  # why the predictions on the target look collapsed
    source_accuracy: float | None = None  # on the source's evaluation rows
    source_accuracies: dict[str, float] = Field(default_factory=dict)  # of each of several sources
    _right: list[bool] = PrivateAttr(default_factory=list)  # of each row, to compare two evaluations of the same rows

    @model_validator(mode="before")
    @classmethod
    def _from_matrix(cls, given: Any) -> Any:
        """Read the matrix of earlier records as its cells."""
        if not isinstance(given, Mapping) or "confusion" not in given:
            return given
        rest = {name: value for name, value in given.items() if name != "confusion"}
        cells = [(t, p, n) for t, row in enumerate(given["confusion"]) for p, n in enumerate(row) if n]
        return {"confusion_cells": cells, **rest}

    @property
    def confusion(self) -> list[list[int]]:
        """The whole confusion matrix, rows: truth, columns: prediction; empty where nothing was measured."""
        return self.confusion_among(range(len(self.per_class))) if self.confusion_cells else []

    def confusion_among(self, classes: Sequence[int]) -> list[list[int]]:
        """The confusion matrix of some classes, in that order. The whole one of many classes is large."""
        place = {number: at for at, number in enumerate(classes)}
        matrix = [[0] * len(place) for _ in place]
        for truth, predicted, rows in self.confusion_cells:
            if truth in place and predicted in place:
                matrix[place[truth]][place[predicted]] = rows
        return matrix


class Candidate(Facts):
    """A checkpoint that could have been chosen."""

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
    """What scores that read no target label say of an adapted model beside source-only."""

    adapted: bool  # True: they are for the adapted model
    reason: str  # a guard rail, or who voted for what
    rail: bool = False  # True: it was a guard rail
    scores: dict[str, list[float]] = Field(default_factory=dict)  # validator -> [source-only, adapted]
    abstained: list[str] = Field(default_factory=list)  # those that the method's own loss makes better
    tried: str | None = None  # the strategy that was dropped for source-only; None: nothing was dropped
    dropped: "Evaluation | None" = None  # its figures


class PhaseFacts(Facts):
    name: str
    sees: list[str]
    learns: dict[str, int]  # group -> trained parameters
    steps: int
    lr: dict[str, float] = Field(default_factory=dict)


class Adjustment(Facts):
    """What a run that adjusts itself saw at an evaluation, and did about it."""

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
    """Temperatures that the head's logits were divided by."""

    rows: int  # labelled ones that they were fitted on
    temperatures: dict[str, float]  # of the head, or of the parts that it adds up
    loss_before: float  # cross-entropy of those rows
    loss_after: float


class Energy(Facts):
    """What the machine used while the run trained and evaluated, other programs' share included."""

    kwh: float
    parts: dict[str, float] = Field(default_factory=dict)  # cpu, gpu, ram: kWh each
    estimated: list[str] = Field(default_factory=list)  # those that no sensor measured
    meter: str = ""  # codecarbon 3.3.2
    partial: bool = False  # a run that was resumed: what was used before is not in it


class OnlineFacts(Facts):
    """A model that adapted to a stream while it was measured; each batch was scored before the model learnt from it."""

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
    """What the finished model did on other labelled rows, or at test time. It chose nothing."""

    created: str  # ISO date
    data: DomainFacts
    figures: Evaluation  # of the model as it was saved
    online: OnlineFacts | None = None
    versions: dict[str, str] = Field(default_factory=dict)


class Ablated(Facts):
    """The run's recipe again, without one part of its method."""

    without: str
    changes: dict[str, Any]  # of the method's options
    figures: Evaluation
    seconds: float = 0.0


class Decision(Facts):
    """A key that the recipe left open, what it was decided to be, and why."""

    key: str  # optim.lr
    value: Any
    because: str


class RunRecord(Facts):
    """Every fact of a run."""

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
    paper: str | None = None  # arXiv:1505.07818
    model: ModelFacts
    source: DomainFacts | None = None
    target: DomainFacts
    classes: list[str] = Field(default_factory=list)
    label_sets: LabelSets = Field(default_factory=lambda: LabelSets(setting="unknown"))
    unknown: str | None = None  # the last of the classes, for what is none of the others; None: there is none
    training: Training = Field(default_factory=Training)
    baseline_training: Training | None = None
    selection: Selection = Field(default_factory=Selection)
    source_only: Evaluation | None = None  # the baseline on the target's evaluation rows; None: not trained
    adapted: Evaluation | None = None
    difference: Difference | None = None  # of the two accuracies
    calibration: Calibration | None = None  # of the model that is shipped; None: its logits are as they were trained
    verdict: Verdict | None = None  # None: there is no source-only model to compare with
    target_labels: Literal["none", "training", "few", "selection"] = "none"  # what for, evaluation apart
    target_labels_per_class: int | None = None  # rows whose labels were learnt from, where they were few
    warnings: list[str] = Field(default_factory=list)  # collapse, no label-free evidence, …
    native: bool = True  # False: only hubtl loads it
    not_native_because: str | None = None
    ablation: list[Ablated] = Field(default_factory=list)
    evaluations: list[LaterEvaluation] = Field(default_factory=list)  # after the run, oldest first
    plots: list[str] = Field(default_factory=list)  # file names under plots/
    versions: dict[str, str] = Field(default_factory=dict)
    hardware: dict[str, Any] = Field(default_factory=dict)
    energy: Energy | None = None  # None: not measured

    def to_json(self) -> str:
        """The text of ``record.json``."""
        text = jsontext.text(measured(self.model_dump(mode="json")), indent=2) + "\n"
        return TRIPLE.sub(r"[\1, \2, \3]", text)

    def save(self, folder: Path) -> None:
        """Write ``record.json`` so that a reader never sees half of it."""
        files.write(folder / "record.json", self.to_json())

    @classmethod
    def load(cls, folder: Path) -> "RunRecord":
        """Read ``record.json``. Raises HubtlError if there is none, or it is not a record."""
        try:
            return cls.model_validate_json(plain.text_of(folder / "record.json", plain.LARGEST_JSON))
        except FileNotFoundError as error:
            raise HubtlError(
                f"{folder} has no record.json", hint="give the directory that hubtl adapt wrote"
            ) from error
        except (OSError, ValueError) as error:
            first = str(error).splitlines()[0]
            raise HubtlError(
                f"{folder / 'record.json'} cannot be read: {first}", hint="restore it, or run the recipe again"
            ) from error
