"""Fine-tune on a labelled target."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field
from torch import Tensor

from hubtl.batch import Batch, Features
from hubtl.strategy import Learner, Loss, Phase, Progress, Strategy, StrategyOptions


class FinetuneOptions(StrategyOptions):
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="factor on the learning rate from one block to the one below"
    )


class Finetune(Strategy):
    """Train a new head and the pretrained backbone on the labelled target.

    ``L = task(h(f(x)), y)``; the backbone learns at a tenth of the head's rate (``optim.backbone_lr_scale``), and its
    block ``i`` of ``n`` (1 is next to the input) at ``layer_decay^(n + 1 − i)`` of that. The tuner selects which
    backbone parameters learn: ``--tuner first-n --set tuner.n=3`` freezes the first blocks.
    """

    Options = FinetuneOptions
    settings = ("transfer",)
    needs = ("features",)
    defaults = {"optim.lr": 1e-2, "optim.schedule": "cosine"}

    def phases(self) -> Sequence[Phase]:
        groups, factors = self.groups()
        return [Phase("adapt", self.step, ("target",), groups, lr=factors)]

    def groups(self) -> tuple[dict[str, Learner], dict[str, float]]:
        """Return the groups that learn. Each has its factor on the learning rate."""
        decay, learners = self.options.layer_decay, self.learners()
        if decay == 1:
            return learners, {}
        blocks = self.blocks()
        del learners["backbone"]
        factors = {name: decay ** (len(blocks) - depth) for depth, name in enumerate(blocks)}
        return {**blocks, **learners}, factors

    def blocks(self) -> dict[str, Learner]:
        """Return the backbone's blocks from input to output as groups. They learn at the backbone's rate."""
        backbone: Any = self.encoder.backbone
        return {f"backbone/{name}": parameters for name, parameters in backbone.blocks()}

    def penalty(self, features: Features, target: Batch) -> tuple[Tensor, Mapping[str, Tensor]] | None:
        """Return a weighted loss that a subclass adds, and scalars to log; None adds nothing."""
        return None

    def step(self, target: Batch, *, at: Progress) -> Iterator[Loss]:
        features = self.encode(target)
        task = self.task.loss(self.head(features.pooled), target.labels)
        if (added := self.penalty(features, target)) is None:
            yield Loss(task, logs={"task": task})
        else:
            yield Loss(task + added[0], logs={"task": task, **added[1]})
