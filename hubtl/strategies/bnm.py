"""BNM: batch nuclear-norm maximisation."""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from hubtl.losses.structure import mean_singular_value
from hubtl.strategy import Additive, Judging, Pair, Progress, StrategyOptions


class BNMOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the nuclear norm")


class BNM(Additive):
    """Maximise the nuclear norm of the target predictions: confident and diverse.

    ``L = task(h(f(x_s)), y_s) − weight · ‖P_t‖_* / min(b, c)``, ``P_t`` the softmax matrix of the target batch.

    Both domains go through one forward: BatchNorm statistics are shared. The norm is that of one micro-batch. As the
    authors' code, this takes the mean singular value; the paper divides the norm by the batch size.
    """

    Options = BNMOptions
    moves_features = False
    paper = "arXiv:2003.12237"
    judging = Judging(improves=("infomax", "bnm"))
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        norm = mean_singular_value(pair.yt)
        return -self.options.weight * norm, {"nuclear_norm": norm}
