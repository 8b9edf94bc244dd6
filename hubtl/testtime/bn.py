"""BN-1: normalise with the statistics of the test batch."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hubtl.errors import HubtlError
from hubtl.testtime.base import TestTime, TestTimeOptions


class BNOptions(TestTimeOptions):
    alpha: float = Field(1.0, ge=0, le=1, description="weight of the batch's statistics; the rest goes to the source's")
    guard: float = Field(
        0.0, ge=0, le=1, description="collapse guard; off, since nothing learns; for classification only"
    )


class BN(TestTime):
    """Replace BatchNorm's statistics by those of each test batch, without learning.

    ``μ = (1 − α) μ_source + α μ_batch``, and the biased variances likewise; ``α = 1`` is BN-1. Nothing is learnt, so
    nothing can drift.

    Deviation: the paper derives ``α`` from a count of source rows ``N`` as ``n / (N + n)``; here it is given.
    """

    Options = BNOptions
    paper = "arXiv:2006.16971"
    learns = "nothing"
    needs = ("features",)

    def use_batch_statistics(self) -> None:
        if not self._norms:
            raise HubtlError(
                "BN adapts the statistics of BatchNorm, and this model has none", hint="--tta tent, or no --tta"
            )
        for norm in self._norms:
            if norm.running_mean is None or norm.running_var is None:
                continue  # it uses the batch's already
            self._mix(norm, norm.running_mean.clone(), norm.running_var.clone())

    def _mix(self, norm: _BatchNorm, mean: Tensor, var: Tensor) -> None:
        """Substitute the mixed statistics for the source's around each forward.

        An activation inside the layer is kept this way.
        """
        alpha = self.options.alpha

        def mixed(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            x = arguments[0].float()
            over = [d for d in range(x.dim()) if d != 1]
            v, m = torch.var_mean(x, dim=over, correction=0)
            norm.running_mean, norm.running_var = torch.lerp(mean, m, alpha), torch.lerp(var, v, alpha)

        def restored(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
            norm.running_mean, norm.running_var = mean, var

        norm.register_forward_pre_hook(mixed)
        norm.register_forward_hook(restored)

    @torch.no_grad()
    def forward(self, inputs: Any) -> Tensor:
        return super().forward(inputs)

    def update(self, inputs: Any, logits: Tensor) -> None:
        """Learn nothing."""
