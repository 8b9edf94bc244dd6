"""BSP: DANN with batch spectral penalisation."""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from hubtl.losses.discrepancy import leading_singular_value
from hubtl.strategies.critics import CriticOptions
from hubtl.strategies.dann import DANN
from hubtl.strategy import Pair, Progress


class BSPOptions(CriticOptions):
    penalty: float = Field(2e-4, ge=0, description="weight of the squared largest singular values")


class BSP(DANN):
    """Train DANN while penalising the largest singular value of each domain's features.

    ``L = L_DANN + penalty · (σ_1²(Z_s) + σ_1²(Z_t))``. The penalty keeps features discriminable.

    Both domains go through one forward: BatchNorm statistics are shared. Deviation: no source-only pretraining, and
    one adversarial objective (DANN) of the two in the paper (Chen et al., ICML 2019).
    """

    Options = BSPOptions

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        adversarial, logs = super().added(pair, at=at)
        largest = leading_singular_value(pair.zs) + leading_singular_value(pair.zt)
        return adversarial + self.options.penalty * largest, {**logs, "spectral": largest}
