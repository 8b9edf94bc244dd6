"""Linear MMD: equal mean features. An example of a strategy in its own package."""

from collections.abc import Iterator

from pydantic import Field

from hubtl import Batch, Loss, Progress, Strategy, StrategyOptions


class LinearMMDOptions(StrategyOptions):
    weight: float = Field(0.25, ge=0, description="weight of the gap between the means")


class LinearMMD(Strategy):
    """Align the mean features of source and target while learning the source.

    ``L = CE(h(f(x_s)), y_s) + weight · ‖mean f(x_s) − mean f(x_t)‖²``, the squared maximum mean discrepancy of a linear
    kernel.

    Both domains go through one forward. With two forwards, the BatchNorm that ends the default bottleneck would centre
    each domain separately, and the gap would always be zero. Deviation: the paper aligns a separate adaptation layer,
    this the features that the head sees.
    """

    Options = LinearMMDOptions
    paper = "arXiv:1412.3474"
    needs = ("features",)
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:
        zs, zt = self.encode_joint(source, target)
        task = self.task.loss(self.head(zs.pooled), source.labels)
        gap = (zs.pooled.float().mean(dim=0) - zt.pooled.float().mean(dim=0)).square().sum()
        yield Loss(task + self.options.weight * gap, logs={"task": task, "gap": gap})
