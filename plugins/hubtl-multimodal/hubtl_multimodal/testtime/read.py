"""READ: attention that adapts to reliable modalities at test time."""

import math
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from hubtl.errors import HubtlError
from hubtl.losses.structure import diversity
from hubtl.testtime.base import Learning, LearningOptions
from hubtl_multimodal.fusion import Fusion
from hubtl_multimodal.fusion.attention import Attention


class READOptions(LearningOptions):
    lr: float = Field(1e-4, gt=0, description="learning rate of Adam")
    turn: float = Field(
        math.exp(-1),
        gt=0,
        le=1,
        description="probability above which a prediction is sharpened, and below which it is flattened",
    )
    balance: float = Field(1.0, ge=0, description="weight of the diversity of each batch's predictions")


class READ(Learning):
    """Sharpen reliable predictions of each batch by the fusion's attention alone.

    ``L = mean_i p_i (1 − log p_i + log turn) − balance · H(mean p)``. ``p_i`` is the largest probability of a row and
    ``H`` the entropy of the batch's mean prediction. With ``turn = e⁻¹`` the first term is ``−p log p``, which falls as
    ``p`` rises over ``1 / e`` and as it sinks under it. One step of Adam for each batch moves queries, keys and values.

    All is in eval mode, BatchNorm with its running statistics. ``NAME.present`` [b] among the inputs masks missing
    modalities. Raises HubtlError for a model without fusion blocks. Deviation: the reference takes the softmax of the
    summed probabilities in the second term; this takes their mean.
    """

    Options = READOptions
    paper = "https://openreview.net/forum?id=TPZRq4FALB"
    learns = "nothing"  # of what the base knows by name

    def begin(self) -> None:
        if not self.learning:
            self.learning = attention_of(self.model)
            self.source = {name: p.detach().clone() for name, p in self.learning.items()}
            for p in self.learning.values():
                p.requires_grad_(True)
        super().begin()

    def use_batch_statistics(self) -> None:
        """Keep BatchNorm unchanged: only attention adapts."""

    def forward(self, inputs: Any) -> Tensor:
        if isinstance(inputs, Tensor):
            return super().forward(inputs)
        present = {name.removesuffix(".present"): r for name, r in inputs.items() if name.endswith(".present")}
        rest = {name: x for name, x in inputs.items() if not name.endswith(".present")}
        logits: Tensor = self.model(rest, present or None) if present else self.model(rest)
        return logits

    def update(self, inputs: Any, logits: Tensor) -> None:
        log_p = logits.float().log_softmax(dim=1).max(dim=1).values
        reliable = (log_p.exp() * (1 - log_p + math.log(self.options.turn))).mean()
        self.descend(reliable - self.options.balance * diversity(logits))
        self.stats.learnt += len(logits)


def attention_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return queries, keys and values of all attention between modalities, by name.

    Raises:
        HubtlError: where there is none.
    """
    found: dict[str, nn.Parameter] = {}
    for place, fusion in model.named_modules():
        if not isinstance(fusion, Fusion) or fusion.kind not in ("bottleneck", "concat-transformer"):
            continue
        for part in (fusion.blocks, fusion.reader):
            for name, module in part.named_modules(prefix=f"{place}.{'reader' if part is fusion.reader else 'blocks'}"):
                if isinstance(module, Attention):
                    for key in ("q", "k", "v"):
                        own = getattr(module, key)
                        found |= {f"{name}.{key}.{n}": p for n, p in own.named_parameters()}
    if not found:
        raise HubtlError(
            "READ adapts the attention that fuses modalities, and this model has none",
            hint="a multimodal model with bottleneck or concat-transformer fusion, or --tta tent",
        )
    return found
