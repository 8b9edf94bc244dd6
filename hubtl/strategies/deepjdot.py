"""DeepJDOT: optimal transport of features and labels together."""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from hubtl.losses.transport import joint_cost, transport_plan
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions


class DeepJDOTOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the transport cost")
    feature_weight: float = Field(1.0, ge=0, description="weight of a feature's mean squared distance in the cost")
    label_weight: float = Field(0.1, ge=0, description="weight of the cross-entropy of a source label in the cost")


class DeepJDOT(Additive):
    """Match source and target batches by optimal transport of features and labels.

    ``L = task(h(z_s), y_s) + weight · Σ_ij γ_ij · c_ij``, ``c_ij = feature_weight · ‖z_s,i − z_t,j‖² / d + label_weight
    · CE(h(z_t,j), y_s,i)``, where ``γ`` is the exact optimal transport plan of the batch under ``c``, detached.

    Both domains go through one forward. Deviation: the squared distance is divided by the width ``d``, so that the
    weight does not depend on it; the two weights keep the paper's ratio of ten.
    """

    Options = DeepJDOTOptions
    paper = "arXiv:1803.10081"
    needs = ("features", "probabilities", "rows")  # exact transport between all places of two batches is too large
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        options = self.options
        labels = self.labels(pair)
        cost = joint_cost(pair.zs, pair.zt, labels, pair.yt, options.feature_weight, options.label_weight)
        transport = (transport_plan(cost) * cost).sum()
        return options.weight * transport, {"transport": transport}

    def labels(self, pair: Pair) -> Tensor:
        """Return the source's labels; a sealed source raises the task's error."""
        if pair.source.labels is None:
            self.task.loss(pair.ys, None)
        assert pair.source.labels is not None
        return pair.source.labels
