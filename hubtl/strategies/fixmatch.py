"""FixMatch: sure predictions on mildly changed images teach strongly changed ones."""

from collections.abc import Iterator

import torch
from pydantic import Field

from hubtl.batch import Batch
from hubtl.losses.selftraining import confident, masked_cross_entropy
from hubtl.strategy import Loss, Progress, Strategy, StrategyOptions


class FixMatchOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the pseudo-label loss")
    threshold: float = Field(0.9, gt=0, le=1, description="probability from which a prediction becomes a label")


class FixMatch(Strategy):
    """Label target images by the model's own sure predictions, and learn those on strong views of the same images.

    ``L = CE(h(f(x_s)), y_s) + weight · mean(1[max p_w ≥ threshold] · CE(h(f(strong(x_t))), argmax p_w))`` with
    ``p_w = softmax(h(f(weak(x_t))))`` without gradient.

    Source, weak and strong views go through separate forwards: BatchNorm sees each alone, and its running statistics
    mix the three. Deviation: the paper is of semi-supervised learning; here the labelled rows are the source's, as in
    the transfer learning libraries.
    """

    Options = FixMatchOptions
    improves = ("infomax", "bnm", "snd")
    paper = "arXiv:2001.07685"
    views = ("weak", "strong")
    defaults = {"optim.lr": 3e-3, "optim.schedule": "inverse-decay", "optim.gamma": 4e-4}

    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:  # type: ignore[override]
        task = self.task.loss(self.head(self.encode(source).pooled), source.labels)
        with torch.no_grad():
            weak = self.head(self.encode(target.view("weak")).pooled)
            labels, sure = confident(weak, self.options.threshold)
        strong = self.head(self.encode(target.view("strong")).pooled)
        pseudo = masked_cross_entropy(strong, labels, sure)
        yield Loss(
            task + at.added * self.options.weight * pseudo,
            logs={"task": task, "pseudo": pseudo, "sure": sure.float().mean()},
        )
