"""Provide the frame of source-free methods: an optional source phase, then the target alone."""

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
    smoothing: float = Field(0.1, ge=0, lt=1, description="label smoothing on the source")
    source_share: float = Field(0.5, gt=0, lt=1, description="share of the updates that train on the source")
    refreshes: int = Field(15, ge=1, description="least number of times that the whole target is swept")


class SourceFree(Strategy):
    """Learn the source first, if there is one, then the target alone.

    A subclass writes ``step`` for the target. Buffers whose size depends on the target's are named in ``memories``. The
    source is learnt on weak views, since the authors of these methods crop, flip or rotate it.
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
        """Return the groups that learn on the target."""
        return self.learners()

    def refreshing(self) -> Any:
        """Return the function to call before each pass over the target.

        It is called at least ``refreshes`` times; None if the method refreshes nothing.
        """
        return None

    def source_step(self, source: Batch, *, at: Progress) -> Iterator[Loss]:
        logits = self.head(self.encode(source.weak()).pooled)
        task = self.task.loss(logits, source.labels)
        s = self.options.smoothing
        yield Loss((1 - s) * task + s * spread(logits), logs={"task": task})

    def remember(self, name: str, value: Tensor) -> None:
        """Store a memory under a name, on the device of the head."""
        setattr(self, name, value.to(next(self.head.parameters()).device))

    def rows(self, target: Batch) -> Tensor:
        """Return the positions of the batch's rows in the memories."""
        if target.index is None:
            raise HubtlError("the target's rows have no positions", hint="a data set must set Batch.index")
        return target.index

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in self.memories:  # their size is known only now
            if prefix + name in state_dict:
                self.remember(name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *rest)
