"""The contract of every transfer and adaptation method, on one screen.

A method says how a mini-batch becomes losses (``step``) and, where it has stages, who learns in which (``phases``).
The engine does the rest: devices, precision, accumulation, freezing, optimisers, schedules, checkpoints, evaluation.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from hubtl.batch import Batch, Features, join
from hubtl.modules import Classifier, Encoder
from hubtl.tasks import Task

Learner = nn.Module | Iterable[nn.Parameter]
Sweep = Callable[[str], tuple[Tensor, Tensor]]  # stream -> pooled features [n, d] and logits [n, c], in dataset order


class StrategyOptions(BaseModel):
    """A method's own options: one source for the command line, validation, recipes, docs and the card."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Progress:
    """Where a run is. Schedules hang on this, never on a counter in a module."""

    phase: int
    epoch: int
    step: int  # updates done in this phase
    fraction: float  # of the phase, 0..1


@dataclass(frozen=True)
class Loss:
    """One update: what is minimised, and by whom."""

    total: Tensor  # scalar
    by: tuple[str, ...] | None = None  # groups that learn from it; None: every group of the phase
    logs: Mapping[str, Tensor] = field(default_factory=dict)  # scalars to show


@dataclass(frozen=True)
class Phase:
    """A stage of a run. An unlisted stream is never opened; an unlisted module is frozen and in eval mode."""

    name: str
    step: Callable[..., Iterator[Loss]]  # called as step(**{stream: Batch}, at=Progress)
    sees: tuple[str, ...]
    learns: Mapping[str, Learner]
    steps: int | None = None  # updates; None: share of the run's steps
    share: float = 1.0
    refresh: Callable[[Sweep, Progress], None] | None = None  # before each epoch


class Strategy(nn.Module):
    """A method. Its direct children are networks, each of which the engine wraps for its devices.

    A subclass writes ``step``; its docstring begins with one line of claim, then the formula, and says where it
    deviates
    from its paper. ``source`` and ``target`` batches may differ in size. The class axis of logits is dim 1.
    """

    Options: ClassVar[type[StrategyOptions]] = StrategyOptions
    paper: ClassVar[str | None] = None
    setting: ClassVar[str] = "adaptation"  # or "transfer": the target is labelled and there is no source
    defaults: ClassVar[Mapping[str, Any]] = {}  # recipe keys that this method decides unless the user does

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.task = task
        self.options: Any = options if options is not None else self.Options()

    def step(self, *, at: Progress, **streams: Batch) -> Iterator[Loss]:
        """Yield the losses of one update after another. The number of yields must not depend on the data."""
        raise TypeError(f"{type(self).__name__} defines no step")

    def phases(self) -> Sequence[Phase]:
        """The stages of a run; by default one, in which everything learns. Pure and cheap: resuming calls it again."""
        sees = ("source", "target") if self.setting == "adaptation" else ("target",)
        return [Phase("adapt", self.step, sees, self.learners())]

    def deployed(self) -> Classifier:
        """The model that is evaluated, and shipped."""
        return Classifier(self.encoder, self.head)

    def learners(self) -> dict[str, Learner]:
        """Every network by name: backbone, bottleneck, head, and the method's own."""
        groups: dict[str, Learner] = {"backbone": self.encoder.backbone}
        if self.encoder.bottleneck is not None:
            groups["bottleneck"] = self.encoder.bottleneck
        groups["head"] = self.head
        return groups | {n: child for n, child in self.named_children() if n not in ("encoder", "head")}

    def encode(self, batch: Batch) -> Features:
        """Features of one stream, from a forward of its own: BatchNorm sees this stream alone."""
        return self.encoder(batch.inputs, batch.present or None)

    def encode_joint(self, *batches: Batch) -> list[Features]:
        """Features of several streams from one forward: BatchNorm statistics are shared between them."""
        together = self.encode(join(*batches))
        ends = [0]
        for batch in batches:
            ends.append(ends[-1] + len(batch))
        return [together.rows(start, stop) for start, stop in pairwise(ends)]
