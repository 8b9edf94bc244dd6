"""What a training is set up with: device, hyperparameters, and who judges, logs and adjusts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator

from hubtl.engine.adjust import Controller
from hubtl.recipe.schema import OptimSection, RunSection
from hubtl.strategy import Strategy

Judge = Callable[[Strategy, int], dict[str, float]]
Log = Callable[[Mapping[str, float], int], None]


class Memory(Protocol):
    """Goes into a checkpoint beside the strategy, and comes back from it."""

    def state(self) -> dict[str, Any]: ...

    def load(self, state: dict[str, Any]) -> None: ...


@dataclass
class Setup:
    """Holds what all phases of a training share and none changes.

    ``optim`` and ``run`` have nothing left undecided. ``folder`` takes the checkpoints; None writes none. ``judge`` is
    called with the bare strategy and the update every ``run.evaluate_every`` updates and after the last one, and returns
    scores for the curves. ``log`` gets what was measured, for trackers. ``controller`` looks as often, and what it
    decides is done before the next update. ``memory`` is kept in the checkpoints: that of a judge which chooses.
    """

    accelerator: Accelerator
    optim: OptimSection
    run: RunSection
    folder: Path | None = None
    title: str = "train"
    shown: bool = False
    judge: Judge | None = None
    log: Log | None = None
    num_workers: int | None = None
    controller: Controller | None = None
    memory: Memory | None = None
