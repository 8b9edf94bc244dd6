"""Train a linear probe on frozen features."""

from collections.abc import Iterator

import torch

from hubtl.batch import Batch
from hubtl.strategy import Loss, Phase, Progress, Strategy


class LinearProbe(Strategy):
    """Train a linear head on the frozen backbone's features of the target.

    ``L = task(h(f(x)), y)`` with ``f`` frozen, its BatchNorm statistics included.
    """

    settings = ("transfer",)
    needs = ("features",)
    trains_backbone = False
    defaults = {"optim.lr": 1e-1, "optim.schedule": "cosine", "model.bottleneck": 0}

    def step(self, target: Batch, *, at: Progress) -> Iterator[Loss]:
        with torch.no_grad():
            features = self.encode(target)
        task = self.task.loss(self.head(features.pooled), target.labels)
        yield Loss(task, logs={"task": task})

    def phases(self) -> list[Phase]:
        return [Phase("probe", self.step, ("target",), {"head": self.head})]
