"""MDD: margin disparity discrepancy with an adversarial head."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hubtl.losses.adversarial import margin_disparity
from hubtl.modules import Encoder
from hubtl.strategies.critics import ramp
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions
from hubtl.tasks import Task


class MDDOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the margin disparity discrepancy")
    margin: float = Field(4.0, ge=1, description="margin γ: weight of the source in the adversary's loss")
    reversal: float = Field(0.1, ge=0, description="factor of the reversed gradient, at the end of its ramp")
    ramp_steps: float = Field(1000.0, gt=0, description="time constant of the reversal's ramp, in updates")
    adversary_width: int = Field(1024, ge=1, description="hidden width of the adversarial head")


class MDD(Additive):
    """Minimise the margin disparity discrepancy that an adversarial head estimates.

    ``L = task(h(z_s), y_s) + weight · [γ · CE(h'(R z_s), ŷ_s) − log(1 − σ_ŷ(h'(R z_t)))]`` with ``ŷ = argmax h(z)`` of
    each row, and ``R`` the identity whose gradient is reversed. ``h'`` learns to agree with the classifier on the
    source and to disagree on the target; the features learn to prevent that.

    Both domains go through one forward. ``1 − σ`` has the authors' offset of 1e-6, and the adversary their small
    initial weights, so that it starts with no opinion. Deviation: the classifier is one linear layer, so that it ships
    inside a plain model, and the bottleneck is the run's; the adversary alone has a hidden layer.
    """

    Options = MDDOptions
    paper = "arXiv:1904.05801"
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        width = self.options.adversary_width
        self.adversary = nn.Sequential(
            nn.Linear(encoder.width, width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, len(task.outputs.names))
        )
        for layer in self.adversary:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        options = self.options
        strength = options.reversal * ramp(at, options.ramp_steps)
        other = self.adversary(self.reverse(torch.cat([pair.zs, pair.zt]), strength, at))
        said_s, said_t = pair.ys.argmax(dim=1), pair.yt.argmax(dim=1)
        other_s, other_t = other[: len(pair.zs)], other[len(pair.zs) :]
        agreement = F.cross_entropy(other_s.float(), said_s)
        disagreement = margin_disparity(other_t, said_t)
        total = options.weight * (options.margin * agreement + disagreement)
        return total, {"adversary_source": agreement, "adversary_target": disagreement}
