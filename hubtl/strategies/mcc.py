"""MCC: minimum class confusion."""

from collections.abc import Iterator

from pydantic import Field

from hubtl.batch import Batch
from hubtl.losses import class_confusion
from hubtl.strategy import Loss, Progress, Strategy, StrategyOptions


class MCCOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the confusion loss")
    temperature: float = Field(2.5, gt=0, description="softens the target predictions")


class MCC(Strategy):
    """Classify the source, and make the target's predictions confuse classes less: no critic, hence stable.

    ``L = CE(h(f(x_s)), y_s) + weight · (ΣM − tr M) / c``, where ``M`` is the row-normalised class confusion of the
    target
    batch at temperature ``T`` (``hubtl.losses.class_confusion``).

    Both domains go through one forward: BatchNorm statistics are shared. The confusion is that of one batch: gradient
    accumulation averages the micro-batches' and does not enlarge them.
    """

    Options = MCCOptions
    paper = "arXiv:1912.03699"
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:  # type: ignore[override]
        zs, zt = self.encode_joint(source, target)
        task = self.task.loss(self.head(zs.pooled), source.labels)
        confusion = class_confusion(self.head(zt.pooled), self.options.temperature)
        yield Loss(task + self.options.weight * confusion, logs={"task": task, "confusion": confusion})
