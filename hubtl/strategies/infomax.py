"""InfoMax: confident and diverse predictions on the target."""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from hubtl.losses.structure import mutual_information
from hubtl.strategy import Additive, Judging, Pair, Progress, StrategyOptions


class InfoMaxOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the mutual information")


class InfoMax(Additive):
    """Maximise the mutual information between target inputs and predictions.

    ``L = task(h(f(x_s)), y_s) − weight · (H(mean p_t) − mean H(p_t))``.

    Both domains go through one forward: BatchNorm statistics are shared. The mean prediction is that of one
    micro-batch.
    """

    Options = InfoMaxOptions
    moves_features = False
    paper = "arXiv:2002.08546"
    judging = Judging(improves=("infomax", "bnm"))
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        information = mutual_information(pair.yt)
        return -self.options.weight * information, {"information": information}
