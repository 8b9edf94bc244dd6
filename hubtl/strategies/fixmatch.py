"""FixMatch: confident predictions on weak views label strong views."""

from collections.abc import Mapping, Sequence

from pydantic import Field
from torch import Tensor

from hubtl.losses.selftraining import confident, masked_cross_entropy
from hubtl.strategy import Additive, Judging, Pair, Phase, Progress, StrategyOptions


class FixMatchOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the pseudo-label loss")
    threshold: float = Field(0.9, gt=0, le=1, description="confidence threshold of a pseudo label")


class FixMatch(Additive):
    """Learn strong views of target images from confident predictions on weak views.

    ``L = task(h(f(weak(x_s))), y_s) + weight · mean(1[max p_w ≥ threshold] · CE(h(f(strong(x_t))), argmax p_w))`` with
    ``p_w = softmax(h(f(weak(x_t))))`` without gradient.

    Source, weak and strong views go through separate forwards: BatchNorm sees each alone, and its running statistics
    mix the three. In a sum of losses such as ``mcc+fixmatch``, the other losses use the weak views. Deviation: the
    paper is about semi-supervised learning; here the labelled rows are the source's, as in the transfer learning
    libraries. Nothing corrects for the domain shift: first labels that are wrong teach the next ones. ``adamatch``
    corrects for it.
    """

    Options = FixMatchOptions
    moves_features = False
    paper = "arXiv:2001.07685"
    judging = Judging(improves=("infomax", "bnm"))
    defaults = {"optim.lr": 3e-3, "optim.schedule": "inverse-decay", "optim.gamma": 4e-4}
    joint = False

    def phases(self) -> Sequence[Phase]:
        sees = {"source": ("weak",), "target": ("weak", "strong")}
        return [Phase("adapt", self.step, sees, self.learners())]

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        labels, sure = confident(pair.yt.detach(), self.options.threshold)
        strong = self.head(self.encode(pair.target.view("strong")).pooled)
        pseudo = masked_cross_entropy(strong, labels, sure)
        return self.options.weight * pseudo, {"pseudo": pseudo, "sure": sure.float().mean()}
