"""Hold a training's state. Its phases share it and a checkpoint keeps it."""

import time
from collections.abc import Mapping
from typing import Any

from hubtl.engine.setup import Setup
from hubtl.engine.stop import StopRequest
from hubtl.engine.trace import Trace
from hubtl.strategy import Strategy


class Ongoing:
    """Keep one strategy while it trains, its curves and its clock.

    Only parameters that its tuner left trainable may learn.
    """

    def __init__(self, setup: Setup, strategy: Strategy) -> None:
        self.setup, self.strategy = setup, strategy
        self.tunable = {p for p in strategy.parameters() if p.requires_grad}
        self.trace, self.stop = Trace(), StopRequest()
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Return the time spent so far, in seconds, before an interruption included."""
        return time.monotonic() - self._began

    def note(self, measured: Mapping[str, float]) -> None:
        """Add a point to the curves, and log it to the trackers."""
        self.trace.curves.append({"step": float(self.trace.steps), **measured})
        if self.setup.log is not None:
            self.setup.log(measured, self.trace.steps)

    def state(self) -> dict[str, Any]:
        """Return plain values and tensors, for a checkpoint."""
        setup, trace = self.setup, self.trace
        state: dict[str, Any] = {
            "strategy": self.strategy.state_dict(),
            "steps": trace.steps,
            "seconds": self.seconds,
            "curves": trace.curves,
            "resumed": trace.resumed,
        }
        if setup.memory is not None:
            state["memory"] = setup.memory.state()
        if setup.controller is not None:
            state["steered"] = {"adjustments": trace.adjustments, "controller": setup.controller.state()}
        return state

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from the result of ``state``."""
        setup = self.setup
        self.strategy.load_state_dict(state["strategy"])
        self.trace = Trace(state["steps"], state["seconds"], state["curves"], state["resumed"] + 1)
        self._began = time.monotonic() - self.trace.seconds
        if setup.memory is not None and state.get("memory") is not None:
            setup.memory.load(state["memory"])
        if setup.controller is not None and (steered := state.get("steered")) is not None:
            self.trace.adjustments = steered["adjustments"]
            setup.controller.load(steered["controller"])

    def end(self) -> Trace:
        """Leave the strategy in eval mode. The same parameters are trainable as before."""
        for p in self.strategy.parameters():
            p.requires_grad_(p in self.tunable)
        self.trace.seconds = self.seconds
        self.strategy.eval()
        return self.trace
