"""AdaBN: the source's weights with the target's BatchNorm statistics."""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from hubtl.batch import Batch
from hubtl.errors import HubtlError
from hubtl.losses import entropy
from hubtl.strategy import Judging, Loss, Phase, Progress, Strategy, Sweep


class AdaBN(Strategy):
    """Replace the BatchNorm statistics of a source model by the target's.

    Phase ``source``: ``L = task(h(f(x_s)), y_s)``. Phase ``estimate``, one pass, in which no weight changes: each
    BatchNorm's mean and variance are set to the averages over the target's batches, each batch weighing the same.
    Without a source the second phase alone runs.

    The domains never share a forward. Nothing else is in training mode in the second phase: dropout is off. Raises
    HubtlError for a network without BatchNorm. Deviation: the paper estimates layer by layer; here the batches go
    through layers that normalise by the batch.
    """

    paper = "arXiv:1603.04779"
    settings = ("adaptation", "source-free")
    judging = Judging(forgets_source=True)
    needs = ("features",)
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def norms(self) -> list[nn.modules.batchnorm._BatchNorm]:
        """Return every BatchNorm that keeps running statistics."""
        found = [m for m in self.encoder.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        return [m for m in found if m.track_running_stats]

    def phases(self) -> Sequence[Phase]:
        if not self.norms():
            raise HubtlError(
                "adabn estimates BatchNorm statistics, and this network has no BatchNorm",
                hint="--model resnet50, or another --strategy",
            )
        estimate = Phase("estimate", self.estimate, ("target",), {}, epochs=1, refresh=self.forget)
        if self.setting == "source-free":
            return [estimate]
        return [Phase("source", self.learn, ("source",), self.learners(), share=0.9), estimate]

    def learn(self, source: Batch, *, at: Progress) -> Iterator[Loss]:
        task = self.task.loss(self.head(self.encode(source).pooled), source.labels)
        yield Loss(task, logs={"task": task})

    def forget(self, sweep: Sweep, at: Progress) -> None:
        """Reset the source's statistics, once."""
        if at.step == 0:
            for norm in self.norms():
                norm.reset_running_stats()

    def estimate(self, target: Batch, *, at: Progress) -> Iterator[Loss]:
        norms = self.norms()
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.train()
            norm.momentum = None  # the average of all batches since the reset
        try:
            with torch.no_grad():
                outputs = self.head(self.encode(target).pooled)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.eval()
                norm.momentum = momentum
        if self.task.probabilities:
            unsure = entropy(outputs).mean()
            yield Loss(unsure, logs={"entropy": unsure})
        else:
            yield Loss(outputs.new_zeros(()))
