"""AdaMatch: FixMatch for two domains, with distribution alignment and a relative threshold."""

import math
from collections.abc import Mapping, Sequence

from pydantic import Field
from torch import Tensor

from hubtl.batch import Batch
from hubtl.losses.selftraining import aligned, masked_soft_cross_entropy, relative_threshold
from hubtl.strategy import Additive, Judging, Pair, Phase, Progress, StrategyOptions


class AdaMatchOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the pseudo-label loss, at the end of its ramp")
    threshold: float = Field(
        0.9, gt=0, le=1, description="confidence threshold of target rows, as a share of the source's mean confidence"
    )


class AdaMatch(Additive):
    """Apply FixMatch with labels and threshold calibrated on the source.

    ``L = task(h(f(weak(x_s))), y_s) + task(h(f(strong(x_s))), y_s) + weight · μ(t) · mean(1[max p̃ ≥ threshold · c] ·
    CE(h(f(strong(x_t))), p̃))``. ``p̃`` is the prediction on ``weak(x_t)``, each class multiplied by the source batch's
    mean prediction over the target batch's and the row normalised again. ``c`` is the mean largest probability of the
    weak source rows, so that the target need not be predicted more confidently than the source. ``μ(t) = (1 −
    cos(min(π, 2πt))) / 2`` grows from 0 to 1 over the first half of the run. No gradient passes ``p̃`` and ``c``.

    Source and target share two forwards, one of the weak views and one of the strong views. In a sum of losses such as
    ``mcc+adamatch``, the other losses use the weak views. Deviations: the paper puts both kinds of views through one
    forward, and interpolates the source's logits between that and a forward of the source alone.
    """

    Options = AdaMatchOptions
    moves_features = False
    paper = "arXiv:2106.04732"
    judging = Judging(improves=("infomax", "bnm"))
    defaults = {"optim.lr": 3e-3, "optim.schedule": "inverse-decay", "optim.gamma": 4e-4}

    def phases(self) -> Sequence[Phase]:
        both = ("weak", "strong")
        return [Phase("adapt", self.step, {"source": both, "target": both}, self.learners())]

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        labels = aligned(pair.yt, pair.ys)
        sure = labels.max(dim=1).values >= relative_threshold(pair.ys, self.options.threshold)
        source, target = self.strong(pair.source, pair.target)
        task = self.task.loss(source, pair.source.labels)
        pseudo = masked_soft_cross_entropy(target, labels, sure)
        return task + self.options.weight * ramp(at.fraction) * pseudo, {
            "strong_task": task,
            "pseudo": pseudo,
            "sure": sure.float().mean(),
        }

    def strong(self, source: Batch, target: Batch) -> list[Tensor]:
        """Return the logits of both domains' strong views, from one forward."""
        both = self.encode_joint(source.view("strong"), target.view("strong"))
        return [self.head(features.pooled) for features in both]


def ramp(fraction: float) -> float:
    """Return ``μ`` at a fraction of the phase: 0 at its start, 1 from the middle on."""
    return (1 - math.cos(min(math.pi, 2 * math.pi * fraction))) / 2
