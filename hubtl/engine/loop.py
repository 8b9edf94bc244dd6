"""Train every method in one loop: its phases in turn, from a checkpoint on.

It runs on one device or several, and knows no method.
"""

from collections.abc import Mapping

from hubtl.data.rows import Rows
from hubtl.engine import checkpoint
from hubtl.engine.contract import phases_of
from hubtl.engine.ongoing import Ongoing
from hubtl.engine.phase import PhaseRun
from hubtl.engine.setup import Setup
from hubtl.engine.trace import Trace
from hubtl.strategy import Strategy


class Engine(Setup):
    """Train strategies in place."""

    def train(self, strategy: Strategy, streams: Mapping[str, Rows], *, resume: bool = False) -> Trace:
        """Run all phases of a strategy.

        Args:
            strategy: the strategy, changed in place.
            streams: the rows of each stream.
            resume: continue from the last checkpoint in ``folder``, if there is one.

        Raises:
            Interrupted: after a checkpoint, when SIGINT or SIGTERM arrives.
            HubtlError: when a loss is not finite.
        """
        ongoing, at_phase, at_step = Ongoing(self, strategy), 0, 0
        state = checkpoint.load(self.folder, self.accelerator) if resume and self.folder else None
        if state is not None:
            ongoing.load(state)
            at_phase, at_step = state["phase"], state["step"]
        strategy.to(self.accelerator.device)
        with ongoing.stop.listening():
            for number, phase in enumerate(phases_of(strategy)):
                if number < at_phase:
                    continue
                first = at_step if number == at_phase else 0
                if state is not None and number == at_phase and not first:
                    checkpoint.restore_random(state, self.accelerator)
                PhaseRun(ongoing, phase, number, streams).run(first, state if first else None)
        return ongoing.end()
