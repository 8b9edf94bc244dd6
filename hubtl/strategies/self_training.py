"""Self-training with an averaged teacher and ClassMix, the core of DAFormer."""

import copy
from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from hubtl.batch import Batch
from hubtl.losses.selftraining import confident
from hubtl.losses.sites import class_mask, mixed, weighted_cross_entropy
from hubtl.modules import Classifier, Encoder
from hubtl.strategy import Additive, Judging, Learner, Pair, Phase, Progress, StrategyOptions
from hubtl.tasks import Task


class SelfTrainingOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the loss on mixed images")
    threshold: float = Field(0.968, gt=0, le=1, description="confidence of the sites that count for the weight q")
    decay: float = Field(0.999, ge=0, lt=1, description="highest decay of the teacher's moving average at each update")


class SelfTraining(Additive):
    """Learn target images, mixed with source classes, from an averaged teacher's predictions.

    ``ŷ = argmax p'(weak(x_t))`` of the teacher, and ``q`` the share of the batch's sites with ``max p' ≥ threshold``. The
    sites of a random half of each source image's classes are pasted into a target image (ClassMix), with their pixels and
    labels; both are strong views. ``L = task(h(f(x_s)), y_s) + weight · mean w · CE(h(f(x_mix)), y_mix)`` with ``w`` 1
    on pasted sites and ``q`` elsewhere. Before the update ``i`` the teacher moves to ``δ·teacher + (1 − δ)·student``, ``δ =
    min(decay, 1 − 1/(i + 1))``.

    Student and teacher see the domains in separate forwards; the student's BatchNorm statistics mix source, target and
    mixed images, the teacher's are those of its target batch. The student is deployed. Deviations: rows of rare classes
    are not sampled more often, since a method does not choose its batches; no distance to ImageNet's features.
    """

    Options = SelfTrainingOptions
    paper = "arXiv:2111.14887"
    needs = ("features", "probabilities", "sites")
    judging = Judging(improves=("infomax", "bnm", "entropy"))
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}
    joint = False

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.teacher = Classifier(copy.deepcopy(encoder), copy.deepcopy(head)).requires_grad_(False)

    def phases(self) -> Sequence[Phase]:
        views = ("weak", "strong")
        return [Phase("adapt", self.step, {"source": views, "target": views}, self.learners())]

    def learners(self) -> dict[str, Learner]:
        groups = super().learners()
        del groups["teacher"]
        return groups

    def prepared(self, source: Batch, target: Batch, *, at: Progress) -> tuple[Batch, Batch]:
        self.follow(min(self.options.decay, 1 - 1 / (at.step + 1)))
        return source, target

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        labels, share = self.taught(pair.target)
        mix = self.mix(pair, labels, share)
        return self.options.weight * mix, {"mix": mix, "sure": share}

    @torch.no_grad()
    def taught(self, target: Batch) -> tuple[Tensor, Tensor]:
        """Return the teacher's classes [b · sites], and its share of confident sites."""
        for module in self.teacher.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train()
        weak = target.weak()
        logits = self.teacher(weak.inputs, weak.present or None)
        labels, sure = confident(logits.flatten(0, -2), self.options.threshold)
        return labels, sure.float().mean()

    def mix(self, pair: Pair, labels: Tensor, share: Tensor) -> Tensor:
        """Return the loss on target images with source classes pasted into them.

        Args:
            pair: both batches.
            labels: the teacher's classes [b · sites].
            share: the weight of sites of the target.
        """
        n, sites = min(len(pair.source), len(pair.target)), pair.sites
        assert pair.source.labels is not None
        own, taught = (rows.unflatten(0, (-1, sites))[:n] for rows in (pair.source.labels, labels))
        pasted = class_mask(own)
        source, target = pair.source.view("strong").inputs, pair.target.view("strong")
        inputs = {key: mixed(source[key][:n], x[:n], pasted) for key, x in target.inputs.items()}
        logits = self.head(self.encode(Batch(inputs)).pooled)
        weight = torch.where(pasted, torch.ones_like(share), share)
        return weighted_cross_entropy(logits, torch.where(pasted, own, taught).flatten(), weight.flatten())

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the teacher's weights towards the student's."""
        for mine, theirs in ((self.teacher.encoder, self.encoder), (self.teacher.head, self.head)):
            for slow, fast in zip(mine.parameters(), theirs.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
