"""Score models for selection; each validator declares what it reads.

One that reads target labels is an oracle.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.losses import entropy
from hubtl.plugins.blame import broken, minded, owner
from hubtl.tasks import Task

Scores = dict[str, float]


LABELS = "target_labels"  # the field that makes an oracle of who reads it
WHOLE = ("__dict__", "__getstate__", "__reduce__", "__reduce_ex__")  # by which an object is read as a whole


class NotFinite(HubtlError):
    """Report a score that is NaN or infinite."""


@dataclass(frozen=True)
class Evidence:
    """Hold the evidence on a model; fields that a validator does not declare are None.

    ``read`` notes which fields were read, and were there.
    """

    step: int
    source_logits: torch.Tensor | None = None  # [n, c], source evaluation rows
    source_features: torch.Tensor | None = None  # [n, d]
    source_labels: np.ndarray | None = None  # [n]
    target_logits: torch.Tensor | None = None  # [m, c], target training rows, never the evaluation rows
    target_features: torch.Tensor | None = None  # [m, d]
    target_mixed_logits: torch.Tensor | None = None  # [m, c], each row's image mixed with another's
    target_labels: np.ndarray | None = None  # of target evaluation rows: oracles only
    target_eval_logits: torch.Tensor | None = None
    task: Task | None = None  # what the outputs are for

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        own = object.__getattribute__(self, "__dict__")
        if name in own and value is not None:
            own.setdefault("_seen", set()).add(name)
        elif name in WHOLE:
            own.setdefault("_seen", set()).update(key for key, held in own.items() if held is not None)
        return value

    @property
    def read(self) -> frozenset[str]:
        """Return the names of the fields that were read."""
        return frozenset(object.__getattribute__(self, "__dict__").get("_seen", ()))


class Validator(ABC):
    """Score a model, higher is better; plugins register a subclass under ``hubtl.validators``."""

    reads: ClassVar[frozenset[str]] = frozenset()  # names of Evidence's fields; "target_labels" makes an oracle
    lenient: ClassVar[bool] = False  # True: it goes on without what is missing
    needs: ClassVar[tuple[str, ...]] = ("features", "probabilities")  # of the model's task, as a strategy's
    comparable: ClassVar[bool] = True  # False: its scores compare the checkpoints of one run, not different runs

    @property
    def oracle(self) -> bool:
        """Return whether the rule declares that it reads target labels.

        A run records whether it does.
        """
        return LABELS in self.reads

    @abstractmethod
    def score(self, evidence: Evidence) -> float: ...

    def suffices(self, evidence: Evidence) -> bool:
        """Return whether the evidence has what the rule reads."""
        return all(getattr(evidence, field) is not None for field in self.reads)

    def scores(self, evidence: Evidence) -> Scores:
        """Return the scores of a checkpoint to keep, for comparison with others."""
        return {"score": self.score(evidence)}

    def merits(self, judged: Sequence[Scores]) -> list[float]:
        """Return each judged checkpoint's merit, compared with the others; higher is better."""
        return [scores["score"] for scores in judged]

    def state(self) -> dict[str, Any]:
        """Return the rule's memory of the checkpoints, to resume a run. It consists of tensors and numbers."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - most rules remember nothing
        """Load the result of ``state``."""


class Last(Validator):
    """Take the last iterate: it reads nothing and selects nothing."""

    needs = ()
    comparable = False

    def score(self, evidence: Evidence) -> float:
        return float(evidence.step)


class SourceAccuracy(Validator):
    """Measure accuracy on the source's evaluation rows: blind to the target, but a floor."""

    reads = frozenset({"source_logits", "source_labels"})

    def score(self, evidence: Evidence) -> float:
        logits, labels = need(evidence, "source_logits"), evidence.source_labels
        if labels is None:
            raise HubtlError("source-accuracy needs a labelled source", hint="--validator infomax")
        return float((logits.argmax(dim=1).numpy() == labels).mean())


class InfoMax(Validator):
    """Measure ``H(mean p) − mean H(p)`` on the target: confident and diverse predictions."""

    reads = frozenset({"target_logits"})

    def score(self, evidence: Evidence) -> float:
        logits = need(evidence, "target_logits")
        mean = logits.softmax(dim=1).mean(dim=0)
        diversity = -(mean * mean.clamp_min(1e-12).log()).sum()
        return float(diversity - entropy(logits).mean())


class Entropy(Validator):
    """Measure ``−mean H(p)`` on the target: confident predictions.

    A collapsed model scores best.
    """

    reads = frozenset({"target_logits"})

    def score(self, evidence: Evidence) -> float:
        return float(-entropy(need(evidence, "target_logits")).mean())


class TargetAccuracy(Validator):
    """Measure accuracy on the target's labelled evaluation rows: an oracle.

    It is impossible without labels.
    """

    reads = frozenset({"target_labels"})

    def score(self, evidence: Evidence) -> float:
        if evidence.target_labels is None or evidence.target_eval_logits is None:
            raise HubtlError("target-accuracy needs target labels, and there are none", hint="--validator infomax")
        known = evidence.target_labels >= 0
        return float((evidence.target_eval_logits.argmax(dim=1).numpy() == evidence.target_labels)[known].mean())


class SourceScore(Validator):
    """Measure the task's score on the source's evaluation rows, at most 1.

    It is blind to the target, but a floor for adaptation.
    """

    needs = ()
    reads = frozenset({"source_logits", "source_labels"})

    def score(self, evidence: Evidence) -> float:
        logits, labels = need(evidence, "source_logits"), evidence.source_labels
        if labels is None or evidence.task is None:
            raise HubtlError("source-score needs a labelled source", hint="--validator last")
        return evidence.task.score(logits, labels)


class TargetScore(Validator):
    """Measure the task's score on the target's labelled evaluation rows: an oracle.

    It is impossible without labels.
    """

    needs = ()
    reads = frozenset({"target_labels"})

    def score(self, evidence: Evidence) -> float:
        if evidence.target_labels is None or evidence.target_eval_logits is None or evidence.task is None:
            raise HubtlError("target-score needs target labels, and there are none", hint="--validator last")
        return evidence.task.score(evidence.target_eval_logits, evidence.target_labels)


def rule_of(name: str) -> Validator:
    """Return the registered validator of a name.

    Raises:
        HubtlError: for one that cannot be made.
    """
    cls: type[Validator] = plugins.load("validators", name)
    with minded(cls, "its __init__"):
        return cls()


def score_of(rule: Validator, evidence: Evidence) -> float:
    """Return ``rule.score``.

    Raises:
        HubtlError: for anything but a finite number.
    """
    with minded(rule, "score"):
        return _finite(rule, rule.score(evidence))


def measured(rule: Validator, evidence: Evidence) -> float | None:
    """Return ``score_of``; None where a built-in rule has nothing to measure.

    The spread of a single row is such a case.
    """
    try:
        return score_of(rule, evidence)
    except NotFinite:
        if owner(rule) is not None:
            raise
        return None


def scores_of(rule: Validator, evidence: Evidence) -> Scores:
    """Return ``rule.scores``.

    Raises:
        HubtlError: for anything but finite numbers by name.
    """
    with minded(rule, "scores"):
        found: Any = rule.scores(evidence)
    if not isinstance(found, Mapping) or not found:
        raise broken(rule, f"gives a {type(found).__name__} for scores", "a mapping of names to numbers")
    return {str(name): _finite(rule, value) for name, value in found.items()}


def merits_of(rule: Validator, judged: Sequence[Scores]) -> list[float]:
    """Return ``rule.merits``.

    Raises:
        HubtlError: for anything but a finite number for each candidate.
    """
    with minded(rule, "merits"):
        found: Any = list(rule.merits(judged))
    if len(found) != len(judged):
        raise broken(rule, f"gives {len(found)} merits for {len(judged)} candidates")
    return [_finite(rule, value) for value in found]


def _finite(rule: Validator, value: Any) -> float:
    if not isinstance(value, Real):
        raise broken(rule, f"gives a {type(value).__name__} for a score, not a number", "return float(…)")
    if not math.isfinite(value):
        said = broken(rule, f"gives {float(value)} for a score, which is not finite")
        raise NotFinite(str(said), hint=said.hint)
    return float(value)


def need(evidence: Evidence, name: str) -> torch.Tensor:
    value: torch.Tensor | None = getattr(evidence, name)
    if value is None:
        stream = name.split("_")[0]
        raise HubtlError(f"this validator needs a {stream} stream, and the run has none", hint="--validator last")
    return value
