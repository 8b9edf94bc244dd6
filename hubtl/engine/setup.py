"""Hold the setup of a training: device, hyperparameters, judge, log and controller."""

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
    """Save state with a checkpoint beside the strategy, and load it again."""

    def state(self) -> dict[str, Any]: ...

    def load(self, state: dict[str, Any]) -> None: ...


@dataclass
class Setup:
    """Hold what all phases of a training share and none changes.

    Attributes:
        optim: the section of the recipe, with every key decided.
        run: the section of the recipe, with every key decided.
        folder: the folder of the checkpoints; None writes none.
        judge: called with the bare strategy and the update, every ``run.evaluate_every`` updates and after the last
            one; it returns scores for the curves.
        log: gets all measurements, for trackers.
        controller: looks as often as the judge, and its decisions are applied before the next update.
        memory: kept in the checkpoints; that of a judge which selects.
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
