"""The suite for a validator: a finite number from what it declares to read, and from nothing else."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from hubtl.errors import HubtlError
from hubtl.judging.validators import LABELS, Evidence, Validator, merits_of, score_of, scores_of
from hubtl.tasks import Task
from hubtl.tasks.classification import Classification
from hubtl.testing.kinds.suite import Suite, declared, documented

OUTPUTS, WIDTH, SOURCE, TARGET, EVALUATED = 4, 6, 60, 80, 40  # rows
FREE = {"step", "task"}  # that every rule may read
MISSING = {"source_logits", "source_features", "source_labels", LABELS}  # that not every run has
BESIDE = {LABELS: {"target_eval_logits"}}  # what comes with a field


class ValidatorSuite(Suite):
    """Check one validator, on made-up evidence of a classification. It has four classes unless a task is given."""

    kind = "validators"
    mends: ClassVar[Mapping[str, str]] = {
        "documents": "write a docstring, and reads = frozenset({…}) with names of Evidence's fields",
        "scores": "return float(…) from what is in reads; guard against a division by zero and an empty class",
        "declares": 'name what it reads in reads; a rule that reads "target_labels" is an oracle, and must say so',
        "keeps": "change no tensor in place, and draw from a generator of your own, seeded: torch.Generator().manual_seed(0)",
        "ranks": "return one number for each of the checkpoints judged so far; keep in state() what merits() needs beside them",
        "lacks": "raise HubtlError(…, hint=…) where a field that it reads is None",
    }

    def __init__(self, cls: type[Validator], task: Task | None = None) -> None:
        self.cls = cls
        self.task = task or Classification([f"kind {i}" for i in range(OUTPUTS)])

    def _whole(self, step: int = 1) -> Evidence:
        return evidence(self.task, step)

    def _declared(self, step: int = 1) -> Evidence:
        """Return the evidence of a run: the declared fields, and those that come with them."""
        own = set(self.cls.reads) | FREE | {name for read in self.cls.reads for name in BESIDE.get(read, ())}
        left = {f.name: None for f in dataclasses.fields(Evidence) if f.name not in own}
        return dataclasses.replace(self._whole(step), **left)  # type: ignore[arg-type]

    def documents(self) -> None:
        """The class has a docstring and reads fields that there are."""
        declared(self.kind, self.cls)
        documented(self.cls)

    def scores(self) -> None:
        """It gives the same finite numbers twice, from its declared evidence."""
        first, second = (_scored(self.cls(), self._declared()) for _ in range(2))
        assert first == second, f"two scores of the same evidence: {first}, then {second}"

    def declares(self) -> None:
        """It reads no field that it does not declare. Target labels matter most."""
        seen = self._whole()
        _scored(self.cls(), seen)
        own = set(self.cls.reads) | FREE | {name for read in self.cls.reads for name in BESIDE.get(read, ())}
        hidden = sorted(seen.read - own)
        assert not hidden, (
            f"it reads {', '.join(hidden)}, and declares {', '.join(sorted(self.cls.reads)) or 'nothing'}"
        )

    def keeps(self) -> None:
        """It leaves the evidence and the run's random numbers unchanged."""
        torch.manual_seed(0)
        given, before = self._declared(), self._declared()
        torchs, numpys = _draws()
        _scored(self.cls(), given)
        assert torch.equal(_draws()[0], torchs), "it draws from torch's own random numbers"
        assert np.array_equal(_draws()[1], numpys), "it draws from numpy's own random numbers"
        for field in dataclasses.fields(Evidence):
            ours, theirs = getattr(before, field.name), getattr(given, field.name)
            if isinstance(ours, torch.Tensor | np.ndarray):
                assert np.array_equal(np.asarray(ours), np.asarray(theirs)), f"it changes {field.name}"

    def ranks(self) -> None:
        """It gives each of several checkpoints a finite merit. So it does after a stop."""
        rule = self.cls()
        judged = [scores_of(rule, self._declared(step)) for step in (1, 2, 3)]
        merits_of(rule, judged[:1])
        merits = merits_of(rule, judged)
        other = self.cls()
        other.load(rule.state())
        assert merits_of(other, judged) == merits, "a rule that takes up its state() gives other merits"

    def lacks(self) -> None:
        """Without a source or target labels it works, or names its need."""
        for name in sorted(set(self.cls.reads) & MISSING):
            without: dict[str, Any] = {name: None}
            given = dataclasses.replace(self._declared(), **without)
            rule = self.cls()
            if not rule.comparable or (not rule.suffices(given) and rule.lenient):
                continue
            try:
                rule.score(given)
            except HubtlError:
                continue
            except Exception as error:
                said = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
                raise AssertionError(f"without {name} it raises {said}") from error


def _draws() -> tuple[torch.Tensor, np.ndarray]:
    """Where the random numbers of torch and of numpy are."""
    _, key, place, *_ = np.random.get_state()
    return torch.get_rng_state(), np.append(key, place)


def _scored(rule: Validator, seen: Evidence) -> dict[str, float]:
    """All numbers that a rule gives for some evidence; one that only compares checkpoints has no score by itself."""
    alone = {"score by itself": score_of(rule, seen)} if type(rule).comparable else {}
    return scores_of(rule, seen) | alone


def evidence(task: Task, step: int = 1) -> Evidence:
    """Return made-up evidence in which classes are clusters. The target's lie a little apart from the source's."""
    rng = np.random.default_rng(step)
    outputs = len(task.outputs.names)
    centres = np.random.default_rng(0).normal(0, 2, (outputs, WIDTH))
    weight = np.random.default_rng(1).normal(0, 1, (WIDTH, outputs)) * 0.3 + np.linalg.pinv(centres)

    def rows(n: int, moved: float) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
        labels = rng.integers(0, outputs, n)
        labels[:outputs] = np.arange(outputs)
        features = centres[labels] + rng.normal(moved, 0.8, (n, WIDTH))
        return labels, torch.from_numpy(features).float(), torch.from_numpy(3 * features @ weight).float()

    ys, zs, source = rows(SOURCE, 0.0)
    _, zt, target = rows(TARGET, 0.4)
    yt, _, judged = rows(EVALUATED, 0.4)
    return Evidence(
        step=step,
        task=task,
        source_logits=source,
        source_features=zs,
        source_labels=ys,
        target_logits=target,
        target_features=zt,
        target_mixed_logits=(target + target.flip(0)) / 2,
        target_labels=yt,
        target_eval_logits=judged,
    )
