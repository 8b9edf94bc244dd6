"""Deep CORAL: equal second-order statistics."""

from collections.abc import Iterator

from pydantic import Field

from hubtl.batch import Batch
from hubtl.losses import covariance_gap
from hubtl.strategy import Loss, Progress, Strategy, StrategyOptions


class DeepCoralOptions(StrategyOptions):
    weight: float = Field(10.0, ge=0, description="weight of the covariance gap")


class DeepCoral(Strategy):
    """Align the covariances of source and target features while classifying the source.

    ``L = CE(h(f(x_s)), y_s) + weight · ‖C_s − C_t‖²_F / 4d²``.

    The domains go through separate forwards. The covariance is that of one batch: gradient accumulation averages the
    gaps
    of its micro-batches and does not enlarge them. Deviation: the paper aligns the logits, this aligns the pooled
    features.
    """

    Options = DeepCoralOptions
    paper = "arXiv:1607.01719"
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:  # type: ignore[override]
        zs, zt = self.encode(source), self.encode(target)
        task = self.task.loss(self.head(zs.pooled), source.labels)
        gap = covariance_gap(zs.pooled, zt.pooled)
        yield Loss(task + self.options.weight * gap, logs={"task": task, "gap": gap})
