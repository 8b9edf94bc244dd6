"""Source-only: the baseline beside every adapted figure."""

from collections.abc import Iterator

from torch import nn

from hubtl.batch import Batch
from hubtl.modules import Encoder
from hubtl.strategy import Loss, Phase, Progress, Strategy, StrategyOptions
from hubtl.tasks import Task


class SourceOnly(Strategy):
    """Train on the labelled source alone: the baseline that adaptation has to beat.

    ``L = task(h(f(x_s)), y_s)``, with the backbone, bottleneck, steps, schedule and views of the adaptation beside it.
    If the adaptation sees its source under weak augmentation, so does the baseline. If it learns strong views of the
    source as well, the baseline adds the same loss of them.
    """

    moves_features = False
    needs = ("features",)
    defaults = {"run.validator": "last"}  # a baseline that chose by looking at the target would be none

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.views: tuple[str, ...] = ()  # of the source: those that the method beside it asks for

    def step(self, source: Batch, *, at: Progress) -> Iterator[Loss]:
        task = self.task.loss(self.head(self.encode(source.weak()).pooled), source.labels)
        if "strong" in source.views:
            task = task + self.task.loss(self.head(self.encode(source.view("strong")).pooled), source.labels)
        yield Loss(task, logs={"task": task})

    def phases(self) -> list[Phase]:
        return [Phase("source", self.step, {"source": self.views}, self.learners())]
