"""Average the members of a run into one native model."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor, nn

from hubtl.data.rows import Rows
from hubtl.data.sealed import unsealed
from hubtl.engine.device import Accelerator
from hubtl.engine.sweep import finite, outputs
from hubtl.ensembles.agreement import alike, mean_agreement
from hubtl.ensembles.linear import averaged, factors
from hubtl.ensembles.student import Student, linear_student
from hubtl.ensembles.weights import estimated, interpolated, same
from hubtl.modules import Classifier, Encoder, fold
from hubtl.record import EnsembleFacts, MemberFacts, Selection, Training
from hubtl.run.arm import Arm, Arms
from hubtl.run.members import Member
from hubtl.run.prepare import Prepared
from hubtl.settings import logger

CLOSE = 0.9  # share of rows on which averaged weights must answer as averaged outputs do, or a student is trained
SHARE = 0.5  # of the run's updates: the length of a student's training
How = Literal["linear", "weights", "distilled"]


@dataclass(frozen=True)
class Part:
    """Hold a trained model with its run. The model reads that run's streams."""

    member: Member
    arm: Arm

    @property
    def home(self) -> Prepared:
        return self.member.prepared

    def facts(self, base: Arm | None = None) -> MemberFacts:
        """Return its facts for a record, beside source-only. Seed and backbone are the same."""
        training = self.arm.training or Training()
        return MemberFacts(
            strategy=self.member.strategy,
            seed=self.member.seed,
            model=self.member.model,
            figures=self.arm.evaluation.slim(),
            source_only=None if base is None else base.evaluation.slim(),
            steps=training.steps,
            seconds=training.seconds,
        )


def combined(
    arms: Arms, members: Sequence[Part], bases: Sequence[Part], hedge: float
) -> tuple[Arm, EnsembleFacts, list[float]]:
    """Average members and source-only into one native model.

    On one frozen backbone the average of heads is a head, exactly. Two models of one start are averaged weight by
    weight where the result answers as the average of their outputs does. Otherwise a student learns that average; the
    closer of the two is taken.

    Args:
        arms: the arms of the run.
        members: the adapted models.
        bases: the source-only models.
        hedge: the share of the members; source-only has the rest.

    Returns:
        The model, its facts, and the factor of each member's outputs and of each base's with a share.
    """
    prepared, accelerator, task = arms.prepared, arms.accelerator, arms.prepared.task
    taken, hedged = members if hedge > 0 else (), bases if hedge < 1 else ()  # what counts nothing is no part
    parts = [*taken, *hedged]
    shares = [hedge / len(members)] * len(taken) + [(1 - hedge) / max(1, len(bases))] * len(hedged)
    after, before = ([_on_target(part, accelerator) for part in each] for each in (members, bases))
    seen = [*(after if taken else ()), *(before if hedged else ())]
    counts = factors(task, seen, shares)
    teacher = _mixed(seen, counts)
    start = time.perf_counter()
    how, model, closeness = _one(arms, parts, shares, counts, teacher)
    training = _training(members, time.perf_counter() - start)
    arm = arms.finished(model, training, _selection(members), bases[0].arm.evaluation if bases else None)
    found = EnsembleFacts(
        how=how,
        hedge=hedge,
        members=[part.facts() for part in members],
        closeness=closeness,
        agreement=mean_agreement(task, after),
        across=_across(members, after),
        across_source_only=_across(bases, before),
        rows=len(teacher),
        steps=_student_steps(members[0]) if how == "distilled" and not _frozen(members[0]) else 0,
    )
    if how != "linear":
        there = [_at(part, part.home.streams.target_eval, accelerator) for part in parts]
        labels = unsealed(prepared.streams.target_eval_labels)
        found.figures = arm.task.evaluation(_mixed(there, counts), labels).slim()
    logger.info("ensemble   %s", said(found))
    return arm, found, [*([] if taken else [0.0] * len(members)), *counts]


def said(found: EnsembleFacts) -> str:
    """Describe the average and how it became one model, in a line."""
    names = list(dict.fromkeys(member.strategy for member in found.members))
    seeds, models = ({getattr(m, key) for m in found.members} for key in ("seed", "model"))
    parts = " + ".join(names) + (f" × {len(seeds)} seeds" if len(seeds) > 1 else "")
    parts += f" × {len(models)} backbones" if len(models) > 1 else ""
    parts += f", {found.hedge:.0%} beside source-only" if found.hedge < 1 else ""
    made = {
        "linear": "heads averaged, exactly",
        "weights": "weights averaged",
        "distilled": "learnt by one student",
    }[found.how]
    return f"{parts}: {made}"


def _one(
    arms: Arms, parts: Sequence[Part], shares: Sequence[float], counts: Sequence[float], teacher: Tensor
) -> tuple[How, Classifier, float | None]:
    """Return one model that answers as the average. The share of target rows on which it does comes third."""
    if (model := _linear(parts, counts)) is not None:
        return "linear", model, None
    task, accelerator, home = arms.prepared.task, arms.accelerator, parts[0].home

    def close(model: Classifier) -> float | None:
        return alike(task, outputs(model, home.streams.target_plain, accelerator).logits, teacher)

    mean = _of_weights(parts, shares, accelerator)
    like = None if mean is None else close(mean)
    if mean is not None and like is not None and like >= CLOSE:
        return "weights", mean, like
    student = _student(arms, parts, counts, teacher)
    learnt = close(student)
    if mean is not None and like is not None and learnt is not None and like > learnt:
        return "weights", mean, like
    return "distilled", student, learnt


def _linear(parts: Sequence[Part], counts: Sequence[float]) -> Classifier | None:
    """Average heads on one unchanged backbone; None if it was changed, or there are several."""
    backbones = [part.arm.model.encoder.backbone for part in parts]
    states = [backbone.state_dict() for backbone in backbones]
    if not all(same(states[0], state) for state in states[1:]):
        return None
    heads = [fold(part.arm.model.encoder.bottleneck, part.arm.model.head) for part in parts]
    return Classifier(Encoder(copy.deepcopy(backbones[0])), averaged(heads, counts))


def _of_weights(parts: Sequence[Part], shares: Sequence[float], accelerator: Accelerator) -> Classifier | None:
    """Average two models of one start weight by weight.

    None for others, and for adapters, whose product is no mean.
    """
    models = [part.arm.model for part in parts]
    adapters = any("lora_" in name for name, _ in models[0].named_parameters())
    if len(models) != 2 or adapters or parts[0].member.model != parts[1].member.model:
        return None
    try:
        made = interpolated([model.cpu() for model in models], shares)
    except ValueError:  # one of them has layers that the other lacks
        return None
    estimated(made, parts[0].home.streams.target_plain, accelerator)
    return made


def _student(arms: Arms, parts: Sequence[Part], counts: Sequence[float], teacher: Tensor) -> Classifier:
    """Train a model on the first part's backbone to the average.

    It is a head where the backbone is frozen, else a whole network.
    """
    first, accelerator = parts[0], arms.accelerator
    home = first.home
    if _frozen(first):
        bare = Classifier(Encoder(copy.deepcopy(home.backbone)), nn.Identity())
        target = outputs(bare, home.streams.target_plain, accelerator).features
        source, labels = home.streams.train.get("source"), None
        features = None
        if source is not None and source.plain.labels is not None:
            features = outputs(bare, source.plain, accelerator).features
            labels = torch.from_numpy(source.plain.labels)
        return Classifier(bare.encoder, linear_student(home.task, target, teacher, features, labels))
    model = copy.deepcopy(first.arm.model)
    ordered = [_at(part, part.home.streams.train["target"].plain, accelerator) for part in parts]
    pupil = Student(model.encoder, model.head, home.task, _mixed(ordered, counts))
    pupil.setting = home.setting
    return arms.distilled(pupil, _student_steps(first))


def _frozen(part: Part) -> bool:
    """Return whether training left the backbone unchanged."""
    return same(part.arm.model.encoder.backbone.state_dict(), part.home.backbone.state_dict())


def _student_steps(first: Part) -> int:
    return max(1, round(SHARE * (first.home.recipe.run.steps or 1)))


def _at(part: Part, rows: Rows, accelerator: Accelerator) -> Tensor:
    return finite(outputs(part.arm.model, rows, accelerator), "the target").logits


def _on_target(part: Part, accelerator: Accelerator) -> Tensor:
    return _at(part, part.home.streams.target_plain, accelerator)


def _mixed(seen: Sequence[Tensor], counts: Sequence[float]) -> Tensor:
    total = torch.zeros_like(seen[0])
    for outputs_, count in zip(seen, counts, strict=True):
        total += count * outputs_
    return total


def _across(parts: Sequence[Part], seen: Sequence[Tensor]) -> float | None:
    """Return the mean agreement of two models on different backbones; None for one backbone."""
    found = [
        alike(parts[0].home.task, seen[i], seen[j])
        for i, j in combinations(range(len(parts)), 2)
        if parts[i].member.model != parts[j].member.model
    ]
    known = [share for share in found if share is not None]
    return sum(known) / len(known) if known else None


def _selection(members: Sequence[Part]) -> Selection:
    """Return how the members' checkpoints were selected; several have no common update."""
    own = [part.arm.selection for part in members]
    return own[0] if len(own) == 1 else Selection(rule=own[0].rule, oracle=any(chosen.oracle for chosen in own))


def _training(members: Sequence[Part], more: float) -> Training:
    """Return the first member's training with the seconds of all. Combining them counts."""
    own = members[0].arm.training or Training()
    seconds = more + sum(part.arm.training.seconds for part in members if part.arm.training)
    return own.model_copy(update={"seconds": seconds})
