"""DARE-GRAM: aligned inverse Gram matrices, on which the closed form of a regression rests."""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from hubtl.losses.subspaces import inverse_gram_gap
from hubtl.strategies.rsd import guarded
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions


class DAREGramOptions(StrategyOptions):
    angle: float = Field(0.05, ge=0, description="weight of the angles between the inverse Gram matrices")
    scale: float = Field(0.001, ge=0, description="weight of the gap between the leading eigenvalues")
    threshold: float = Field(0.9, gt=0, le=1, description="share of the eigenvalues' sum that the inverses keep")


class DAREGram(Additive):
    """Align angles and scale of both domains' inverse Gram matrices.

    ``L = task(h(z_s), y_s) + angle · mean_i (1 − cos(G_s⁺, G_t⁺)_i) + scale · ‖λ_s − λ_t‖ / k`` with ``G = ZᵀZ`` of a
    batch whose rows begin with a 1, its inverse of rank k by columns i, and its k leading eigenvalues λ. The
    least-squares solution of a linear head is ``G⁺ Zᵀ y``: features may differ where that does not.

    The domains go through separate forwards, without a bottleneck. Deviations: labels are standardised, and the inverse
    is computed from the batch instead of its Gram matrix, which is equal and cheaper.
    """

    Options = DAREGramOptions
    paper = "arXiv:2303.13325"
    needs = ("features",)
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay", "model.bottleneck": 0}
    joint = False
    ablations = {"angle": {"angle": 0.0}, "scale": {"scale": 0.0}}

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        options = self.options
        angle, scale = inverse_gram_gap(guarded(pair.zs), guarded(pair.zt), options.threshold)
        return options.angle * angle + options.scale * scale, {"angle": angle, "scale": scale}
