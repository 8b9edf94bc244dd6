"""DAN: multi-kernel MMD between the features."""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from hubtl.losses.discrepancy import mk_mmd
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions


class DANOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the discrepancy")


class DAN(Additive):
    """Minimise the multi-kernel MMD between source and target features.

    ``L = task(h(f(x_s)), y_s) + weight · MMD²(z_s, z_t)`` with five Gaussian kernels (``hubtl.losses.discrepancy``).

    The domains go through separate forwards. Deviation: one layer instead of several, kernels of equal weight, and the
    quadratic estimate, which is as cheap here as the linear one and varies less. It is that of one micro-batch.
    """

    Options = DANOptions
    paper = "arXiv:1502.02791"
    needs = ("features",)
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}
    joint = False

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        gap = mk_mmd(pair.zs, pair.zt)
        return self.options.weight * gap, {"gap": gap}
