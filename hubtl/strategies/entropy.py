"""Entropy minimisation on the target."""

import math
from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from hubtl.losses import entropy
from hubtl.strategy import Additive, Judging, Pair, Progress, StrategyOptions


class EntropyOptions(StrategyOptions):
    weight: float = Field(0.1, ge=0, description="weight of the normalised entropy")


class Entropy(Additive):
    """Minimise the entropy of the target predictions.

    ``L = task(h(f(x_s)), y_s) + weight · mean H(softmax(h(f(x_t)))) / log c``; for segmentation, MinEnt of ADVENT.

    Both domains go through one forward: BatchNorm statistics are shared. Nothing keeps the predictions diverse: a high
    weight takes rare classes away, and ``infomax`` and ``mcc`` are made against that. Deviation: the weight; ADVENT's
    0.001 is for 120,000 updates on feature maps of 161 × 91 sites.
    """

    Options = EntropyOptions
    paper = "arXiv:1811.12833"
    judging = Judging(improves=("infomax", "bnm", "entropy"))
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        unsure = entropy(pair.yt).mean() / math.log(max(2, pair.yt.shape[1]))
        return self.options.weight * unsure, {"entropy": unsure}
