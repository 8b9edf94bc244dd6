"""CoTTA: an averaged teacher, averaged views, and stochastic restoration of source weights."""

import copy
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from hubtl.losses.online import teacher_cross_entropy
from hubtl.testtime.base import Learning, LearningOptions


class CoTTAOptions(LearningOptions):
    ema: float = Field(0.999, ge=0, le=1, description="decay of the teacher's moving average")
    restore: float = Field(
        0.01, ge=0, le=1, description="probability that a weight is restored to the source's at each batch"
    )
    views: int = Field(8, ge=0, description="number of augmented views that the teacher averages; 0: the plain one")
    below: float = Field(0.9, ge=0, le=1, description="average views where the source is less confident than this")
    noise: float = Field(0.05, ge=0, description="standard deviation of the noise of a view")
    seed: int = Field(0, description="seed of views and restored weights")


class CoTTA(Learning):
    """Learn from a slow teacher's averaged predictions, and restore random source weights.

    ``L = −Σ q log p`` with ``q`` the teacher's mean over flipped and noisy views; teacher
    ``θ' = 0.999 θ' + 0.001 θ``; then each weight is reset to the source's with probability ``restore``.

    The teacher's logits are scored. BatchNorm uses the statistics of the batch. Deviations: views are flips and noise
    of the tensors, 8 instead of 32; the rest of the model is in eval mode.
    """

    Options = CoTTAOptions
    paper = "arXiv:2203.13591"
    learns = "all"

    def begin(self) -> None:
        super().begin()
        self.teacher = copy.deepcopy(self.model).requires_grad_(False)
        self.anchor = copy.deepcopy(self.teacher)
        self.random = torch.Generator().manual_seed(self.options.seed)

    @torch.no_grad()
    def forward(self, inputs: Any) -> Tensor:
        sure = self.anchor(inputs).softmax(dim=1).amax(dim=1).mean()
        if not self.options.views or float(sure) >= self.options.below:
            plain: Tensor = self.teacher(inputs)
            return plain
        return torch.stack([self.teacher(self.view(inputs)) for _ in range(self.options.views)]).mean(dim=0)

    def view(self, inputs: Any) -> Any:
        """Return the rows with noise, flipped at random where they are images."""
        if not isinstance(inputs, Tensor):
            return {name: self.view(x) for name, x in inputs.items()}
        if not inputs.is_floating_point():
            return inputs
        flipped = inputs.dim() == 4 and bool(torch.rand((), generator=self.random) < 0.5)
        noise = torch.randn(inputs.shape, generator=self.random).to(inputs)
        return (inputs.flip(-1) if flipped else inputs) + self.options.noise * noise

    def update(self, inputs: Any, logits: Tensor) -> None:
        self.descend(teacher_cross_entropy(self.model(inputs), logits))
        self.stats.learnt += len(logits)
        with torch.no_grad():
            for slow, fast in zip(self.teacher.parameters(), self.model.parameters(), strict=True):
                slow.lerp_(fast, 1 - self.options.ema)
            for name, p in self.learning.items():
                back = torch.rand(p.shape, generator=self.random).to(p.device) < self.options.restore
                p.copy_(torch.where(back, self.source[name], p))
