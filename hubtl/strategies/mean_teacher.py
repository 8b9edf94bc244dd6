"""Mean teacher: self-ensembling with an exponential moving average of the network."""

import copy
from collections.abc import Iterator, Sequence

import torch
from pydantic import Field
from torch import nn

from hubtl.batch import Batch
from hubtl.losses.selftraining import class_balance, confident, consistency
from hubtl.modules import Classifier, Encoder
from hubtl.strategy import Judging, Learner, Loss, Phase, Progress, Strategy, StrategyOptions
from hubtl.tasks import Task


class MeanTeacherOptions(StrategyOptions):
    weight: float = Field(3.0, ge=0, description="weight of the consistency of student and teacher")
    balance: float = Field(0.01, ge=0, description="weight of the class balance of the student's target predictions")
    threshold: float = Field(0.8, ge=0, le=1, description="confidence threshold of the teacher")
    decay: float = Field(0.99, ge=0, lt=1, description="decay of the teacher's moving average at each update")


class MeanTeacher(Strategy):
    """Learn target predictions from an exponential moving average of the network.

    ``L = task(h(f(x_s)), y_s) + weight · mean(1[max p' ≥ threshold] · ‖p(strong) − p'(weak)‖²) + balance · B``, where
    ``p'`` are the teacher's predictions and ``B`` the binary cross-entropy of the student's mean target prediction
    against the uniform one. After the update ``i`` the teacher moves to ``δ·teacher + (1 − δ)·student``,
    ``δ = min(decay, (i + 1) / (i + 10))``: at first it follows closely.

    The teacher is deployed, because it is the steadier one. Source and target go through separate forwards; the
    teacher's BatchNorms use and collect the statistics of its target batches, so that the deployed ones are the
    target's; its dropout is off. Deviation: the confidence threshold masks rows instead of ramping the weight up (both
    are in the paper), and the views are those of FixMatch.
    """

    Options = MeanTeacherOptions
    moves_features = False
    paper = "arXiv:1706.05208"
    judging = Judging(improves=("infomax", "bnm"))
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.teacher = Classifier(copy.deepcopy(encoder), copy.deepcopy(head)).requires_grad_(False)

    def phases(self) -> Sequence[Phase]:
        sees = {"source": ("weak",), "target": ("weak", "strong")}
        return [Phase("adapt", self.step, sees, self.learners())]

    def learners(self) -> dict[str, Learner]:
        groups = super().learners()
        del groups["teacher"]
        return groups

    def deployed(self) -> Classifier:
        return self.teacher

    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:
        task = self.task.loss(self.head(self.encode(source.weak()).pooled), source.labels)
        strong = self.head(self.encode(target.view("strong")).pooled)
        weak = target.view("weak")
        for module in self.teacher.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train()
        with torch.no_grad():
            taught = self.teacher(weak.inputs, weak.present or None)
            taught = taught.flatten(0, -2)  # of a dense task a site is a row
        _, sure = confident(taught, self.options.threshold)
        agreement = consistency(strong, taught, sure)
        balance = class_balance(strong)
        yield Loss(
            task + at.added * (self.options.weight * agreement + self.options.balance * balance),
            logs={"task": task, "consistency": agreement, "balance": balance, "sure": sure.float().mean()},
        )
        self.follow(min(self.options.decay, (at.step + 1) / (at.step + 10)))

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the teacher's weights towards the student's."""
        for mine, theirs in ((self.teacher.encoder, self.encoder), (self.teacher.head, self.head)):
            for slow, fast in zip(mine.parameters(), theirs.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
