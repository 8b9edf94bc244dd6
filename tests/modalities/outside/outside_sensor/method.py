"""The strategy: equal means and spreads of the features of both sensors."""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from hubtl import Progress, StrategyOptions
from hubtl.strategy import Additive, Pair


class SpreadOptions(StrategyOptions):
    """Hold the option of ``--set weight=0.5``."""

    weight: float = Field(0.5, ge=0, description="weight of the distance of means and spreads")


class Spread(Additive):
    """Equal each feature's mean and deviation while learning the source.

    ``L = task(h(f(x_s)), y_s) + weight · mean((μ_s − μ_t)² + (σ_s − σ_t)²)``.
    """

    Options = SpreadOptions
    needs = ("features",)

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss, and the distance for the curves."""
        zs, zt = pair.zs.float(), pair.zt.float()
        means, spreads = zs.mean(dim=0) - zt.mean(dim=0), zs.std(dim=0) - zt.std(dim=0)
        gap = (means.square() + spreads.square()).mean()
        return self.options.weight * gap, {"spread_gap": gap}
