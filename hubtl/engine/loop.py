"""The loop that trains every method: its phases in turn, on one device or several, from a checkpoint on. It knows no method."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator

from hubtl.data.images import ImageSet
from hubtl.engine import checkpoint
from hubtl.engine.adjust import Controller
from hubtl.engine.contract import phases_of
from hubtl.engine.phase import PhaseRun
from hubtl.engine.stop import StopRequest
from hubtl.engine.trace import Trace
from hubtl.recipe.schema import OptimSection, RunSection
from hubtl.strategy import Strategy

Judge = Callable[[Strategy, int], dict[str, float]]
Log = Callable[[Mapping[str, float], int], None]


class Memory(Protocol):
    """What goes into a checkpoint beside the strategy, and comes back from it."""

    def state(self) -> dict[str, Any]: ...

    def load(self, state: dict[str, Any]) -> None: ...


@dataclass
class Engine:
    """Trains strategies in place.

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

    def train(self, strategy: Strategy, streams: Mapping[str, ImageSet], *, resume: bool = False) -> Trace:
        """Run all phases of a strategy.

        With ``resume``, goes on from the last checkpoint in ``folder``, if there is one. Raises Interrupted after a
        checkpoint when SIGINT or SIGTERM arrives, and HubtlError when a loss is not finite.
        """
        tunable = {p for p in strategy.parameters() if p.requires_grad}
        trace, at_phase, at_step = Trace(), 0, 0
        state = checkpoint.load(self.folder, self.accelerator) if resume and self.folder else None
        if state is not None:
            strategy.load_state_dict(state["strategy"])
            trace = Trace(state["steps"], state["seconds"], state["curves"], state["resumed"] + 1)
            at_phase, at_step = state["phase"], state["step"]
            if self.memory is not None and state.get("memory") is not None:
                self.memory.load(state["memory"])
            if self.controller is not None and (steered := state.get("steered")) is not None:
                trace.adjustments = steered["adjustments"]
                self.controller.load(steered["controller"])
        strategy.to(self.accelerator.device)
        began = time.monotonic() - trace.seconds
        stop = StopRequest()
        with stop.listening():
            for number, phase in enumerate(phases_of(strategy)):
                if number < at_phase:
                    continue
                first = at_step if number == at_phase else 0
                if state is not None and number == at_phase and not first:
                    checkpoint.restore_random(state, self.accelerator)
                running = PhaseRun(self, strategy, phase, number, streams, tunable, trace, began, stop)
                running.run(first, state if first else None)
        for p in strategy.parameters():
            p.requires_grad_(p in tunable)
        trace.seconds = time.monotonic() - began
        strategy.eval()
        return trace
