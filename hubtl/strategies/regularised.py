"""Fine-tune with regularisation: of weights, of features, of their spectrum."""

import copy
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from hubtl.batch import Batch, Features
from hubtl.losses.discrepancy import smallest_singular_values
from hubtl.modules import Encoder
from hubtl.strategies.finetune import Finetune, FinetuneOptions
from hubtl.strategy import Learner, StrategyOptions
from hubtl.tasks import Task


class L2SPOptions(FinetuneOptions):
    weight: float = Field(0.01, ge=0, description="weight of the distance from the pretrained weights: α")
    head_weight: float = Field(0.01, ge=0, description="weight of the head's norm: β")


class L2SP(Finetune):
    """Fine-tune with weight decay towards the pretrained weights in place of zero.

    ``L = task(h(f(x)), y) + weight/2 · ‖w − w_0‖² + head_weight/2 · ‖h‖²``, over the backbone's weights that learn.
    The optimiser's own weight decay is 0 unless it is set.
    """

    Options = L2SPOptions
    paper = "arXiv:1802.01483"
    defaults = {**Finetune.defaults, "optim.weight_decay": 0.0}

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        learning = [p for p in encoder.backbone.parameters() if p.requires_grad]
        for i, parameter in enumerate(learning):
            self.register_buffer(f"start_{i}", parameter.detach().clone())
        object.__setattr__(self, "_learning", learning)  # already registered, by the encoder

    def penalty(self, features: Features, target: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        moved = torch.zeros((), device=features.pooled.device)
        for i, parameter in enumerate(self.__dict__["_learning"]):
            moved = moved + (parameter - getattr(self, f"start_{i}")).float().square().sum()
        head = sum((p.float().square().sum() for p in self.head.parameters()), torch.zeros_like(moved))
        total = 0.5 * (self.options.weight * moved + self.options.head_weight * head)
        return total, {"distance": moved}


class DeltaOptions(FinetuneOptions):
    weight: float = Field(0.01, ge=0, description="weight of the squared distance from the pretrained features")


class Delta(Finetune):
    """Fine-tune while keeping the features near those of the pretrained backbone.

    ``L = task(h(f(x)), y) + weight/2 · mean ‖f(x) − f_0(x)‖²``. Deviation: the paper compares feature maps, with
    channels weighted by a supervised attention; this compares pooled features without weights, since every backbone has
    them.
    """

    Options = DeltaOptions
    paper = "arXiv:1901.09229"

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.pretrained = copy.deepcopy(encoder).requires_grad_(False)

    def learners(self) -> dict[str, Learner]:
        return {name: learner for name, learner in super().learners().items() if name != "pretrained"}

    def penalty(self, features: Features, target: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        with torch.no_grad():
            before = self.pretrained(target.inputs, target.present or None).pooled.float()
        distance = (features.pooled.float() - before).square().sum(dim=1).mean()
        return 0.5 * self.options.weight * distance, {"distance": distance}


class BSSOptions(FinetuneOptions):
    weight: float = Field(1e-3, ge=0, description="weight of the smallest singular values")
    k: int = Field(1, ge=1, description="number of those singular values")


class BSS(Finetune):
    """Fine-tune while shrinking the smallest singular values of the features.

    ``L = task(h(f(x)), y) + weight · Σ σ²``, over the ``k`` smallest singular values of the batch's features, which
    transfer badly (Chen et al., NeurIPS 2019).
    """

    Options = BSSOptions

    def penalty(self, features: Features, target: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        smallest = smallest_singular_values(features.pooled, self.options.k)
        return self.options.weight * smallest, {"spectral": smallest}
