"""EATA: Tent on reliable, non-redundant rows, with a penalty on forgetting."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from hubtl.losses import entropy
from hubtl.losses.online import unlike
from hubtl.testtime.base import Learning, LearningOptions


class EATAOptions(LearningOptions):
    entropy_margin: float = Field(0.4, gt=0, description="entropy threshold of learning, as a share of ln c")
    redundancy: float | None = Field(
        None,
        ge=0,
        description="drop rows whose cosine with the usual prediction is larger; default: 0.05 · √(1000 / c)",
    )
    fisher_rows: int = Field(2000, ge=0, description="number of first rows that estimate the Fisher information")
    fisher_weight: float = Field(2000.0, ge=0, description="weight of the Fisher penalty")


class EATA(Learning):
    """Minimise entropy on reliable, non-redundant rows, and penalise changes of important weights.

    ``L = Σ_{i kept} exp(E0 − H_i) · H_i / |kept| + weight · Σ_j F_j (θ_j − θ_source,j)²``, ``E0 = 0.4 ln c``; kept:
    ``H_i < E0`` and ``cos(p_i, usual) < d``, where ``usual`` is a moving average of the predictions that were learnt
    from.

    A confident row of a balanced stream has a cosine of ``1/√c``. The paper's ``d = 0.05`` is for its thousand classes,
    and would drop every row with ten classes. The default keeps its ratio to ``1/√c``.

    BatchNorm uses the statistics of the batch. Deviation: ``F`` comes from the stream's first rows, with predicted
    labels and one gradient a batch, as there is no source; until they have passed there is no penalty.
    """

    Options = EATAOptions
    paper = "arXiv:2204.02610"

    def begin(self) -> None:
        super().begin()
        self.seen = 0
        self.mean: Tensor | None = None
        self.fisher = {name: torch.zeros_like(p) for name, p in self.learning.items()}

    def kept(self, logits: Tensor) -> Tensor:
        """Return the mask of rows to learn from."""
        kept: Tensor = entropy(logits.detach()) < self.options.entropy_margin * math.log(logits.shape[1])
        if self.mean is not None:
            own = self.options.redundancy
            limit = 0.05 * math.sqrt(1000 / logits.shape[1]) if own is None else own
            kept &= 1 - unlike(logits, self.mean) < limit
        return kept

    def penalty(self) -> Tensor:
        total = sum((self.fisher[n] * (p - self.source[n]).square()).sum() for n, p in self.learning.items())
        assert isinstance(total, Tensor)
        return float(self.options.fisher_weight) * total

    def update(self, inputs: Any, logits: Tensor) -> None:
        filling = self.seen < self.options.fisher_rows
        if filling:
            self._measure(logits)
        kept = self.kept(logits)
        if not bool(kept.any()):
            return
        h = entropy(logits[kept])
        weight = torch.exp(self.options.entropy_margin * math.log(logits.shape[1]) - h.detach())
        loss = (weight * h).mean()
        self.descend(loss if filling or not self.options.fisher_rows else loss + self.penalty())
        self.stats.learnt += int(kept.sum())
        p = logits.detach().float().softmax(dim=1)[kept].mean(dim=0)
        self.mean = p if self.mean is None else 0.9 * self.mean + 0.1 * p

    def _measure(self, logits: Tensor) -> None:
        loss = F.cross_entropy(logits.float(), logits.detach().argmax(dim=1))
        gradients = torch.autograd.grad(loss, list(self.learning.values()), retain_graph=True, allow_unused=True)
        total = self.seen + len(logits)
        for old, gradient in zip(self.fisher.values(), gradients, strict=True):
            if gradient is not None:
                old.lerp_(gradient.square(), len(logits) / total)  # the mean over the rows so far
        self.seen = total
