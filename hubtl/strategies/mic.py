"""MIC: masked image consistency."""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from hubtl.batch import Batch
from hubtl.losses.sites import block_masked, weighted_cross_entropy
from hubtl.strategies.self_training import SelfTraining, SelfTrainingOptions
from hubtl.strategy import Pair, Progress


class MICOptions(SelfTrainingOptions):
    masked_weight: float = Field(1.0, ge=0, description="weight of the loss on masked target images")
    block: float = Field(0.125, gt=0, le=1, description="side of a masked block, as a share of the image's")
    ratio: float = Field(0.7, ge=0, lt=1, description="share of the blocks that are masked")


class MIC(SelfTraining):
    """Add to self-training the teacher's predictions on masked target images.

    ``L = L_self-training + masked_weight · q · mean CE(h(f(M ⊙ strong(x_t))), ŷ)``, where ``M`` is 0 on random blocks
    and ``ŷ``, ``q`` are those of self-training: the network learns from the context of what it does not see.

    The paper's blocks of 64 pixels are for crops of 512. Masked pixels have the mean colour of normalisation. Everything
    else is as in ``self-training``.
    """

    Options = MICOptions
    paper = "arXiv:2212.01322"
    ablations = {"masking": {"masked_weight": 0.0}}

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        options = self.options
        labels, share = self.taught(pair.target)
        mix = self.mix(pair, labels, share)
        strong = pair.target.view("strong")
        inputs = {key: block_masked(x, options.block, options.ratio) for key, x in strong.inputs.items()}
        logits = self.head(self.encode(Batch(inputs, present=strong.present)).pooled)
        masked = share * weighted_cross_entropy(logits, labels, share.new_ones(len(labels)))
        total = options.weight * mix + options.masked_weight * masked
        return total, {"mix": mix, "masked": masked, "sure": share}
