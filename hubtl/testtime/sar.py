"""SAR: sharpness-aware entropy minimisation on reliable rows, with recovery."""

import math
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from hubtl.losses import entropy
from hubtl.testtime.base import Learning, LearningOptions


class SAROptions(LearningOptions):
    entropy_margin: float = Field(0.4, gt=0, description="entropy threshold of learning, as a share of ln c")
    rho: float = Field(0.05, ge=0, description="radius of the sharpness-aware perturbation")
    recover_below: float = Field(
        0.03, ge=0, description="restore the source where the running loss falls below this share of ln c"
    )


class SAR(Learning):
    """Minimise the entropy of reliable rows with sharpness-aware steps and recovery.

    ``g = ∇L(θ)``, ``θ' = θ + rho · g / ‖g‖``, step with ``∇L(θ')``; ``L`` is the mean entropy of rows below ``0.4 ln
    c``, at ``θ'`` of those that are below it there too. The source is restored where a running mean (0.9) of the loss
    falls below ``recover_below · ln c``, or below half of its value at the source's weights, if that is less.

    BatchNorm uses the statistics of the batch. Deviations: Adam in place of SGD; every normalisation layer learns,
    where the reference leaves out the last block's; the paper restores below 0.2 for any number of classes, which is
    0.03 ln c for its thousand, and more than a good model's entropy on ten.
    """

    Options = SAROptions
    paper = "arXiv:2302.12400"

    def begin(self) -> None:
        super().begin()
        self.running: float | None = None
        self.first: float | None = None  # the loss at the source's weights

    def loss(self, logits: Tensor, among: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the mean entropy of the reliable rows, and their mask.

        Args:
            logits: logits [b, c].
            among: if given, only rows of this mask [b] count.
        """
        h = entropy(logits)
        kept = h.detach() < self.options.entropy_margin * math.log(logits.shape[1])
        if among is not None:
            kept = kept & among
        return (h * kept).sum() / kept.sum().clamp_min(1), kept

    def collapsed(self, classes: int) -> bool:
        """Return whether the running loss is too small for so many classes."""
        assert self.running is not None
        assert self.first is not None
        return self.running < min(float(self.options.recover_below) * math.log(classes), self.first / 2)

    def update(self, inputs: Any, logits: Tensor) -> None:
        loss, rows = self.loss(logits)
        if not bool(rows.any()):
            return
        if self.first is None:
            self.first = float(loss.detach())
        parameters = list(self.learning.values())
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        before = [p.detach().clone() for p in parameters]
        norm = torch.stack([g.norm() for g in gradients if g is not None]).norm().clamp_min(1e-12)
        with torch.no_grad():
            for p, g in zip(parameters, gradients, strict=True):
                if g is not None:
                    p.add_(g, alpha=float(self.options.rho / norm))
        sharp, again = self.loss(self.forward(inputs), rows)
        self.optimizer.zero_grad(set_to_none=True)
        count = int(again.sum())
        if count:
            sharp.backward()
        with torch.no_grad():
            for p, value in zip(parameters, before, strict=True):
                p.copy_(value)
        if not count:
            return
        self.optimizer.step()
        self.stats.learnt += count
        value_now = float(sharp.detach())
        self.running = value_now if self.running is None else 0.9 * self.running + 0.1 * value_now
        if self.collapsed(logits.shape[1]):
            self.stats.collapses += 1
            self.reset()
