"""ROID: a weighted self-training loss, weight averaging with the source, and a corrected prior."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from hubtl.losses.online import certainty_diversity, smoothed_prior, soft_likelihood_ratio
from hubtl.testtime.base import Learning, LearningOptions


class ROIDOptions(LearningOptions):
    lr: float = Field(2.5e-4, gt=0, description="learning rate of Adam")
    keep: float = Field(0.99, ge=0, le=1, description="weight of the learnt parameters; the rest goes to the source's")
    temperature: float = Field(1 / 3, gt=0, description="temperature of the rows' weights")
    prior: bool = Field(True, description="correct predictions by the batch's class distribution")


class ROID(Learning):
    """Learn from certain, diverse rows, and average the weights with the source's.

    ``L = Σ_i w_i · SLR(y_i) / b``, ``SLR = −Σ_k p_k log(p_k / (1 − p_k))``, ``w`` by certainty and diversity
    (``hubtl.losses.online``); then ``θ = keep · θ + (1 − keep) · θ_source``. Scored: ``y + log prior``, the prior
    smoothed.

    BatchNorm uses the statistics of the batch. Deviations: without the consistency loss on an augmented view; the prior
    multiplies probabilities, as its derivation has it, where the authors' code multiplies logits.
    """

    Options = ROIDOptions
    paper = "arXiv:2306.00650"

    def begin(self) -> None:
        super().begin()
        self.mean: Tensor | None = None

    def answer(self, logits: Tensor) -> Tensor:
        return logits + smoothed_prior(logits).log().to(logits.dtype) if self.options.prior else logits.clone()

    def update(self, inputs: Any, logits: Tensor) -> None:
        p = logits.detach().float().softmax(dim=1)
        mean = torch.full_like(p[0], 1 / p.shape[1]) if self.mean is None else self.mean
        weights, kept = certainty_diversity(logits, mean, self.options.temperature)
        self.mean = 0.9 * mean + 0.1 * p.mean(dim=0)
        self.descend((weights * soft_likelihood_ratio(logits))[kept].sum() / len(logits))
        self.stats.learnt += int(kept.sum())
        with torch.no_grad():
            for name, q in self.learning.items():
                q.lerp_(self.source[name], 1 - self.options.keep)
