"""Sequential transfer: a labelled source first, a labelled target second, each with its own head."""

from collections.abc import Iterator, Sequence

from pydantic import Field
from torch import nn

from hubtl.batch import Batch
from hubtl.modules import Encoder
from hubtl.strategy import Loss, Phase, Progress, Strategy, StrategyOptions
from hubtl.tasks import Task


class SequentialOptions(StrategyOptions):
    source_share: float = Field(0.5, gt=0, lt=1, description="share of the updates that train on the source")
    finetune_lr: float = Field(1.0, gt=0, description="factor on the learning rates on the target")


class Sequential(Strategy):
    """Train on the source, then fine-tune the backbone on the target. Both are labelled.

    ``task(h_s(f(x_s)), y_s)``, then ``task(h(f(x)), y)`` with a new head. The classes may differ. The target's labels
    are used: this is transfer, not adaptation.
    """

    Options = SequentialOptions
    settings = ("sequential",)
    needs = ("features",)
    defaults = {"optim.lr": 1e-2, "optim.schedule": "cosine", "model.bottleneck": 0}

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.source_head = nn.Linear(encoder.width, len((task.source or task).outputs.names))

    def phases(self) -> Sequence[Phase]:
        own, share = self.learners(), self.options.source_share
        first = {name: learner for name, learner in own.items() if name != "head"}
        second = {name: learner for name, learner in own.items() if name != "source_head"}
        slower = dict.fromkeys(second, self.options.finetune_lr)
        return [
            Phase("source", self.source_step, ("source",), first, share=share),
            Phase("target", self.step, ("target",), second, share=1 - share, lr=slower),
        ]

    def source_step(self, source: Batch, *, at: Progress) -> Iterator[Loss]:
        task = (self.task.source or self.task).loss(self.source_head(self.encode(source).pooled), source.labels)
        yield Loss(task, logs={"task": task})

    def step(self, target: Batch, *, at: Progress) -> Iterator[Loss]:
        task = self.task.loss(self.head(self.encode(target).pooled), target.labels)
        yield Loss(task, logs={"task": task})
