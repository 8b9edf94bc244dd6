"""Deep CORAL: equal second-order statistics."""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from hubtl.losses import covariance_gap
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions


class DeepCoralOptions(StrategyOptions):
    weight: float = Field(10.0, ge=0, description="weight of the covariance gap")


class DeepCoral(Additive):
    """Align the covariances of source and target features while learning the source.

    ``L = task(h(f(x_s)), y_s) + weight · ‖C_s − C_t‖²_F / 4d²``.

    The domains go through separate forwards. The covariance is that of one batch: gradient accumulation averages the
    gaps of its micro-batches and does not enlarge them. Deviation: the paper aligns the logits, this aligns the pooled
    features.
    """

    Options = DeepCoralOptions
    paper = "arXiv:1607.01719"
    needs = ("features",)
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}
    joint = False

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        gap = covariance_gap(pair.zs, pair.zt)
        return self.options.weight * gap, {"gap": gap}
