"""Act between two updates: adjust, judge, save, and take the average of the weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from accelerate import Accelerator

from hubtl.engine import checkpoint
from hubtl.engine.average import WeightAverage
from hubtl.engine.length import Rhythm
from hubtl.engine.modes import average_buffers
from hubtl.engine.ongoing import Ongoing
from hubtl.engine.processes import any_of
from hubtl.engine.steer import Steering
from hubtl.engine.stop import Interrupted
from hubtl.strategy import Strategy


class Between(Protocol):
    """Do one thing between two updates.

    All ranks ask and do the same; the strategy is bare meanwhile.
    """

    def due(self, done: int) -> bool:
        """Return whether to act after ``done`` updates of the phase."""
        ...

    def do(self, done: int) -> None: ...


@dataclass
class Adjusting:
    """Run the controller and apply its decisions.

    ``reopen`` starts reading batches of another size.
    """

    ongoing: Ongoing
    steering: Steering
    rhythm: Rhythm
    reopen: Callable[[int], None]

    def due(self, done: int) -> bool:
        return self.steering.controller is not None and self.rhythm.evaluates(done)

    def do(self, done: int) -> None:
        batch = self.steering.levels.batch
        if measured := self.steering.look(self.ongoing.trace.steps, done / self.rhythm.total):
            self.ongoing.note(measured)
        if self.steering.levels.batch != batch:
            self.reopen(done)


@dataclass
class Averaging:
    """Replace the weights by their average, after the last update."""

    strategy: Strategy
    average: WeightAverage | None
    accelerator: Accelerator
    rhythm: Rhythm

    def due(self, done: int) -> bool:
        return self.rhythm.over(done)

    def do(self, done: int) -> None:
        self.exchange()

    def exchange(self) -> None:
        """Swap the average and the weights."""
        if self.average is not None:
            self.average.exchange()
            average_buffers(self.strategy, self.accelerator)


@dataclass
class Judging:
    """Score the model that would be deployed.

    That is the average of the weights, which is already in place after the last update.
    """

    ongoing: Ongoing
    averaging: Averaging
    rhythm: Rhythm

    def due(self, done: int) -> bool:
        return self.ongoing.setup.judge is not None and self.rhythm.evaluates(done)

    def do(self, done: int) -> None:
        judge = self.ongoing.setup.judge
        assert judge is not None
        over = self.rhythm.over(done)
        if not over:
            self.averaging.exchange()
        self.ongoing.note(judge(self.ongoing.strategy, self.ongoing.trace.steps))
        if not over:
            self.averaging.exchange()


@dataclass
class Saving:
    """Write a checkpoint, and end the run if asked to stop.

    ``state`` is that of the phase.
    """

    ongoing: Ongoing
    state: Callable[[int], Mapping[str, Any]]
    rhythm: Rhythm
    _stopping: bool = False

    def due(self, done: int) -> bool:
        over = self.rhythm.over(done)
        self._stopping = any_of(self.ongoing.setup.accelerator, bool(self.ongoing.stop)) and not over
        every = self.ongoing.setup.run.checkpoint_every
        return self._stopping or (self.ongoing.setup.folder is not None and (over or done % every == 0))

    def do(self, done: int) -> None:
        if self.ongoing.setup.folder is not None:
            checkpoint.save(self.ongoing.setup.folder, dict(self.state(done)), self.ongoing.setup.accelerator)
        if self._stopping:
            raise Interrupted(self.ongoing.stop.number)
