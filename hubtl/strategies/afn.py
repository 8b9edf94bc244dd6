"""AFN: adaptive feature norm, larger norms transfer better."""

from collections.abc import Mapping, Sequence

from pydantic import Field
from torch import Tensor, nn

from hubtl.batch import Batch
from hubtl.errors import HubtlError
from hubtl.losses import entropy
from hubtl.losses.discrepancy import norm_step
from hubtl.modules import Encoder, norm_preserving_dropout
from hubtl.strategy import Additive, Pair, Phase, Progress, StrategyOptions
from hubtl.tasks import Task


class AFNOptions(StrategyOptions):
    weight: float = Field(0.05, ge=0, description="weight of the norms' steps")
    enlargement: float = Field(1.0, ge=0, description="step by which each norm should grow: Δr")
    entropy_weight: float = Field(0.0, ge=0, description="weight of the entropy of target predictions; Office-31: 0.1")
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout rate of the features")
    backbone_momentum: float = Field(
        0.0, ge=0, lt=1, description="momentum of the backbone; training from scratch may need some"
    )


class AFN(Additive):
    """Enlarge the feature norms of both domains step by step.

    ``L = task(h(z_s), y_s) + weight · (D(z_s) + D(z_t)) + entropy_weight · mean H(h(z_t))`` with
    ``D(z) = mean_i (‖z_i‖ − (sg(‖z_i‖) + Δr))²``, the stepwise variant. ``sg`` has no gradient, so that ``D`` is always
    ``Δr²`` and its gradient always pulls outwards; progress shows in the logged norms, not in the loss.

    ``z`` are the features after a dropout that keeps the expected squared norm (``1 / √(1 − p)`` in place of ``1 / (1 −
    p)``). The domains go through separate forwards. The bottleneck's BatchNorm keeps the pull from running away: norms
    then grow by its scales, against weight decay, and not by every layer's weights. The backbone learns without
    momentum. Deviation: no ReLU ends the bottleneck, so that it folds into a plain linear head. The published ``Δr`` is
    1 on Office and 0.3 or 0.1 where training is long or from scratch.
    """

    Options = AFNOptions
    paper = "arXiv:1811.07456"
    needs = ("features",)
    defaults = {
        "optim.lr": 1e-3,
        "optim.schedule": "constant",
        "optim.weight_decay": 5e-4,
        "optim.backbone_lr_scale": 1.0,
        "model.bottleneck": 1000,
    }
    joint = False

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        if self.options.entropy_weight and not task.probabilities:
            raise HubtlError("entropy_weight of afn needs probabilities, and this task has none", hint="leave it out")

    def phases(self) -> Sequence[Phase]:
        own = {"backbone": self.options.backbone_momentum}
        return [Phase("adapt", self.step, ("source", "target"), self.learners(), momentum=own)]

    def pair(self, source: Batch, target: Batch) -> Pair:
        made = super().pair(source, target)
        zs, zt = (norm_preserving_dropout(z, self.options.dropout, self.training) for z in (made.zs, made.zt))
        return Pair(source, target, zs, zt, self.head(zs), self.head(zt))

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        options = self.options
        total = options.weight * (norm_step(pair.zs, options.enlargement) + norm_step(pair.zt, options.enlargement))
        norms = {
            f"{name}_norm": z.detach().norm(dim=1).mean() for name, z in (("source", pair.zs), ("target", pair.zt))
        }
        if not self.task.probabilities:
            return total, norms
        unsure = entropy(pair.yt).mean()
        return total + options.entropy_weight * unsure, {**norms, "entropy": unsure}
