"""MCC: minimum class confusion."""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from hubtl.losses import class_confusion
from hubtl.strategy import Additive, Judging, Pair, Progress, StrategyOptions


class MCCOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the confusion loss")
    temperature: float = Field(2.5, gt=0, description="softens the target predictions")


class MCC(Additive):
    """Minimise the class confusion of the target predictions, without a critic.

    ``L = task(h(f(x_s)), y_s) + weight · (ΣM − tr M) / c``, where ``M`` is the row-normalised class confusion of the
    target batch at temperature ``T`` (``hubtl.losses.class_confusion``).

    Both domains go through one forward: BatchNorm statistics are shared. The confusion is that of one batch: gradient
    accumulation averages the micro-batches' and does not enlarge them.
    """

    Options = MCCOptions
    moves_features = False
    paper = "arXiv:1912.03699"
    judging = Judging(improves=("infomax", "bnm"))
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        confusion = class_confusion(pair.yt, self.options.temperature)
        return self.options.weight * confusion, {"confusion": confusion}
