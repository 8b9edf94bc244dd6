"""RSD: align feature subspaces, whatever their scale."""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from hubtl.losses.subspaces import subspace_distance
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions


class RSDOptions(StrategyOptions):
    weight: float = Field(1e-3, ge=0, description="weight of the distance between the subspaces")
    mismatch: float = Field(0.1, ge=0, description="weight of the mismatch of their bases, within the distance")


class RSD(Additive):
    """Align the subspaces that both domains' features span.

    ``L = task(h(z_s), y_s) + weight · (‖sin θ‖₁ + mismatch · ‖|P_s| − |P_t|‖_F)`` with the principal angles θ between
    the spaces that the batches' features span, and ``U_sᵀ U_t = P_s cos θ P_tᵀ`` for their singular vectors (Chen et
    al., ICML 2021). Feature norms, on which regression depends, do not enter.

    The domains go through separate forwards, without a bottleneck. Deviations: labels are standardised; the sines come
    from the residual of a projection; of a batch with more rows than half the features only the leading d / 2
    directions count. A batch whose bases are not unique, by equal singular values, adds no gradient.
    """

    Options = RSDOptions
    needs = ("features",)
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay", "model.bottleneck": 0}
    joint = False
    ablations = {"mismatch": {"mismatch": 0.0}}

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        distance, apart = subspace_distance(guarded(pair.zs), guarded(pair.zt), self.options.mismatch)
        return self.options.weight * distance, {"distance": distance, "mismatch": apart}


def guarded(features: Tensor) -> Tensor:
    """Return the features, and drop gradients through them that are not finite."""
    seen = features.view_as(features)
    if seen.requires_grad:
        seen.register_hook(lambda g: g if torch.isfinite(g).all() else torch.zeros_like(g))
    return seen
