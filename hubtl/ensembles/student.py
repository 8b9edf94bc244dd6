"""Distil several models into one: a linear head on frozen features, or a whole network."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from hubtl.batch import Batch
from hubtl.modules import Encoder
from hubtl.strategies.featurespace.maps import standardisation
from hubtl.strategies.featurespace.regression import regress
from hubtl.strategy import Loss, Phase, Progress, Strategy
from hubtl.tasks import Task

SOURCE = 0.1  # weight of the source's own loss beside the teacher's answers
PENALTY = 1e-3  # of a linear student's weights on standardised features


def linear_student(
    task: Task, target: Tensor, teacher: Tensor, source: Tensor | None = None, labels: Tensor | None = None
) -> nn.Linear:
    """Fit a linear layer to a teacher's outputs on the target. A labelled source is fitted, too.

    It minimises ``distil(target) + 0.1 · task(source) + λ/2 · ‖W‖²`` on features standardised by the target's, which is
    then multiplied out. L-BFGS starts at zero: no random number.

    Args:
        task: the task.
        target: features [n, d] of the target.
        teacher: the teacher's outputs [n, c].
        source: features [m, d] of the source, if there is one.
        labels: labels [m, …] of the source.
    """
    scale = standardisation(target.double())
    rows = scale(target.double())
    if source is not None:
        rows = torch.cat([rows, scale(source.double())])
    n = len(target)

    def loss(outputs: Tensor, soft: Tensor) -> Tensor:
        total = task.distil(outputs[:n], soft)
        return total if labels is None else total + SOURCE * task.loss(outputs[n:], labels)

    fitted, _ = regress(rows, teacher, teacher.shape[1], loss, PENALTY)
    made = nn.Linear(target.shape[1], teacher.shape[1])
    with torch.no_grad():
        weight = fitted.weight.double() / scale.std
        made.weight.copy_(weight)
        made.bias.copy_(fitted.bias.double() - weight @ scale.mean)
    return made


class Student(Strategy):
    """Learn a teacher's outputs on every target row. The source's labels are learnt a little.

    ``L = distil(h(f(x_t)), z̄(x_t)) + 0.1 · task(h(f(x_s)), y_s)``. It starts from one of the models that it is to
    replace. The domains go through separate forwards, the target's last, whose BatchNorm statistics stay.
    """

    settings = ("adaptation", "source-free")
    needs = ("features",)

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, teacher: Tensor) -> None:
        super().__init__(encoder, head, task)
        self.teacher: Tensor
        self.register_buffer("teacher", teacher)

    def phases(self) -> list[Phase]:
        sees = ("source", "target") if self.setting == "adaptation" else ("target",)
        return [Phase("distil", self.step, sees, self.learners())]

    def step(self, target: Batch, source: Batch | None = None, *, at: Progress) -> Iterator[Loss]:
        assert target.index is not None
        total, logs = torch.zeros((), device=self.teacher.device), dict[str, Tensor]()
        if source is not None:
            logs["task"] = self.task.loss(self.head(self.encode(source).pooled), source.labels)
            total = total + SOURCE * logs["task"]
        logs["distil"] = self.task.distil(self.head(self.encode(target).pooled), self.teacher[target.index])
        yield Loss(total + logs["distil"], logs=logs)
