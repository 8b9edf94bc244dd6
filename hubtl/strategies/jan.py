"""JAN: MMD of features and predictions together."""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from hubtl.losses.discrepancy import joint_mmd
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions


class JANOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the discrepancy")


class JAN(Additive):
    """Minimise the MMD between the domains' joint distributions of features and predictions.

    ``L = task(h(f(x_s)), y_s) + weight · MMD²((z_s, p_s), (z_t, p_t))`` under a product of kernels
    (``hubtl.losses.discrepancy.joint_mmd``).

    Both domains go through one forward: BatchNorm statistics are shared. The discrepancy is that of one micro-batch.
    """

    Options = JANOptions
    paper = "arXiv:1605.06636"
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        gap = joint_mmd((pair.zs, pair.zt), (pair.ys.float().softmax(dim=1), pair.yt.float().softmax(dim=1)))
        return self.options.weight * gap, {"gap": gap}
