"""SAR: sharpness-aware entropy minimisation on reliable rows, with recovery."""

import math
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from hubtl.losses import entropy
from hubtl.testtime.base import Learning, LearningOptions


class SAROptions(LearningOptions):
    entropy_margin: float = Field(0.4, gt=0, description="rows over this share of ln c are not learnt from")
    rho: float = Field(0.05, ge=0, description="how far the weights are pushed uphill before the gradient is taken")
    recover_below: float = Field(0.2, ge=0, description="the source is restored where the running loss falls below")


class SAR(Learning):
    """Minimise the entropy of certain rows at weights where it is flat, and start again when it gets too small.

    ``g = ∇L(θ)``, ``θ' = θ + rho · g / ‖g‖``, step with ``∇L(θ')``; ``L`` is the mean entropy of rows below
    ``0.4 ln c``, chosen again at ``θ'``. A running mean (0.9) of the loss below ``recover_below`` restores the source.

    BatchNorm uses the statistics of the batch. Deviation: Adam in place of SGD, and every normalisation layer learns:
    the reference leaves the last block's alone.
    """

    Options = SAROptions
    paper = "arXiv:2302.12400"

    def begin(self) -> None:
        super().begin()
        self.running: float | None = None

    def loss(self, logits: Tensor) -> tuple[Tensor, int]:
        """The mean entropy of the certain rows, and how many these are."""
        h = entropy(logits)
        kept = h.detach() < self.options.entropy_margin * math.log(logits.shape[1])
        return (h * kept).sum() / kept.sum().clamp_min(1), int(kept.sum())

    def update(self, inputs: Any, logits: Tensor) -> None:
        loss, rows = self.loss(logits)
        if not rows:
            return
        parameters = list(self.learning.values())
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        before = [p.detach().clone() for p in parameters]
        norm = torch.stack([g.norm() for g in gradients if g is not None]).norm().clamp_min(1e-12)
        with torch.no_grad():
            for p, g in zip(parameters, gradients, strict=True):
                if g is not None:
                    p.add_(g, alpha=float(self.options.rho / norm))
        sharp, again = self.loss(self.forward(inputs))
        self.optimizer.zero_grad(set_to_none=True)
        if again:
            sharp.backward()
        with torch.no_grad():
            for p, value in zip(parameters, before, strict=True):
                p.copy_(value)
        if not again:
            return
        self.optimizer.step()
        self.stats.learnt += again
        value_now = float(sharp.detach())
        self.running = value_now if self.running is None else 0.9 * self.running + 0.1 * value_now
        if self.running < self.options.recover_below:
            self.stats.collapses += 1
            self.reset()
