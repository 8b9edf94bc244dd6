"""The frame of methods that leave the source behind: it is learnt first, if there is one, then the target alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from hubtl.batch import Batch
from hubtl.errors import HubtlError
from hubtl.losses.selftraining import spread
from hubtl.strategy import Judging, Learner, Loss, Phase, Progress, Strategy, StrategyOptions


class SourceFreeOptions(StrategyOptions):
    smoothing: float = Field(0.1, ge=0, lt=1, description="label smoothing while the source is learnt")
    source_share: float = Field(0.5, gt=0, lt=1, description="share of the updates that the source gets")
    refreshes: int = Field(15, ge=1, description="times that the whole target is looked at anew, at least")


class SourceFree(Strategy):
    """The frame of methods that learn the source first, if there is one, and then from the target alone.

    A subclass writes ``step`` for the target. Buffers whose size depends on the target's are named in ``memories``. The
    source is learnt under weak views: the authors of these methods crop, flip or turn it.
    """

    Options = SourceFreeOptions
    settings = ("adaptation", "source-free")
    judging = Judging(forgets_source=True)
    memories: tuple[str, ...] = ()

    def phases(self) -> Sequence[Phase]:
        share = 1.0 if self.setting == "source-free" else 1 - self.options.source_share
        adapt = Phase(
            "adapt",
            self.step,
            ("target",),
            self.adapting(),
            share=share,
            refresh=self.refreshing(),
            refreshes=self.options.refreshes,
        )
        if self.setting == "source-free":
            return [adapt]
        return [
            Phase("source", self.source_step, {"source": ("weak",)}, self.learners(), share=self.options.source_share),
            adapt,
        ]

    def adapting(self) -> dict[str, Learner]:
        """What learns on the target."""
        return self.learners()

    def refreshing(self) -> Any:
        """What is done before each pass over the target, and at least ``refreshes`` times."""
        return None

    def source_step(self, source: Batch, *, at: Progress) -> Iterator[Loss]:
        logits = self.head(self.encode(source.weak()).pooled)
        task = self.task.loss(logits, source.labels)
        s = self.options.smoothing
        yield Loss((1 - s) * task + s * spread(logits), logs={"task": task})

    def remember(self, name: str, value: Tensor) -> None:
        """Set a memory, on the device of the head."""
        setattr(self, name, value.to(next(self.head.parameters()).device))

    def rows(self, target: Batch) -> Tensor:
        """Where the batch's rows are in the memories."""
        if target.index is None:
            raise HubtlError("the target's rows have no positions", hint="a data set must set Batch.index")
        return target.index

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in self.memories:  # their size is known only now
            if prefix + name in state_dict:
                self.remember(name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *rest)
