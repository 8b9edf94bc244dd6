"""Train one phase: its streams, its updates, and the actions between them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from hubtl.backbones.base import Backbone
from hubtl.data.rows import Rows
from hubtl.data.streams import steps_per_epoch
from hubtl.engine import checkpoint
from hubtl.engine.average import WeightAverage
from hubtl.engine.between import Adjusting, Averaging, Between, Judging, Saving
from hubtl.engine.feed import Feed, open_stream
from hubtl.engine.length import Rhythm, phase_steps, refresh_due
from hubtl.engine.lockstep import Lockstep
from hubtl.engine.logged import Logged, finite
from hubtl.engine.modes import average_buffers, freeze_all_but, learning_groups, set_modes
from hubtl.engine.ongoing import Ongoing
from hubtl.engine.optimise import lr_factor, make_optimizer, set_lr
from hubtl.engine.processes import any_of
from hubtl.engine.progress import Bar, show
from hubtl.engine.steer import Steering, Window, drop_before
from hubtl.engine.sweep import outputs
from hubtl.engine.wrap import Wrapping
from hubtl.errors import HubtlError
from hubtl.plugins.blame import label, minded
from hubtl.strategy import Phase, Progress, Swept

CURVE_POINTS = 100  # of a phase, in the record


class PhaseRun:
    """Train one phase."""

    def __init__(self, ongoing: Ongoing, phase: Phase, number: int, streams: Mapping[str, Rows]) -> None:
        self.ongoing, self.setup, self.phase, self.number = ongoing, ongoing.setup, phase, number
        self.strategy, setup = ongoing.strategy, ongoing.setup
        self.accelerator, optim, run = setup.accelerator, setup.optim, setup.run
        self.streams = {name: open_stream(streams, name, f"phase {phase.name!r}") for name in phase.sees}
        rows = run.batch_size * run.gradient_accumulation_steps * self.accelerator.num_processes
        self.epoch_steps = steps_per_epoch(self.streams, rows)
        self.total = phase_steps(phase, run, self.epoch_steps)
        groups = learning_groups(phase.learns, ongoing.tunable)
        ordered = [p for ps in groups.values() for p in ps]
        self.learning = set(ordered)
        freeze_all_but(self.strategy, self.learning)
        # a phase in which nothing learns, such as one that estimates statistics, has no optimiser
        backbone = self.strategy.encoder.backbone
        own = backbone.rates() if isinstance(backbone, Backbone) else {}
        self.optimizer = make_optimizer(groups, optim, phase.lr, phase.momentum, own) if phase.learns else None
        self.prepared = self.accelerator.prepare_optimizer(self.optimizer) if self.optimizer is not None else None
        self.lockstep = Lockstep(phase, groups, self.accelerator.backward, self.update)
        self.wrapping = Wrapping(self.strategy, self.learning, self.accelerator)
        self.logged, self.feed = Logged(), Feed(setup, self.streams, number, phase.views)
        told = ongoing.trace.adjustments
        self.steering = Steering(
            setup.controller, self.strategy, phase, self.optimizer, self.accelerator, optim.weight_decay, told
        )
        self.levels = self.steering.levels
        set_modes(self.strategy, self.learning)
        width = optim.averaging
        self.average = WeightAverage(self.strategy, ordered, width) if width and ordered else None
        self.steering.average = self.average
        rhythm = Rhythm(self.total, run.evaluate_every, learns=self.optimizer is not None)
        self.adjusting = Adjusting(ongoing, self.steering, rhythm, self.open)
        averaging = Averaging(self.strategy, self.average, self.accelerator, rhythm)
        judging, saving = Judging(ongoing, averaging, rhythm), Saving(ongoing, self.state, rhythm)
        self.between: list[Between] = [self.adjusting, averaging, judging, saving]  # in this order

    def run(self, first: int, left: dict[str, Any] | None) -> None:
        """Train from the update ``first`` on.

        Args:
            first: the first update.
            left: the phase's part of a checkpoint, where it was interrupted.
        """
        self.feed.drawn = first * self.setup.run.gradient_accumulation_steps
        if left is not None:
            self.load(left)
        self.open(first)
        with self.training(), Bar(self.setup.title, self.total, start=first, shown=self.setup.shown) as bar:
            if left is not None:
                checkpoint.restore_random(left, self.accelerator)
            for step in range(first, self.total):
                at = self.progress(step)
                self.before(at)
                self.take(at)
                done = step + 1
                bar.advance(done, self.read(done))
                if due := [between for between in self.between if between.due(done)]:
                    self.rest()
                    for between in due:
                        between.do(done)
                    if done < self.total:
                        self.learn()

    @contextmanager
    def training(self) -> Iterator[None]:
        """Wrap the strategy and set the modes of the phase; unwrap it afterwards."""
        adjusts = self.steering.controller is not None
        dropping = drop_before(self.strategy.head, self.levels) if adjusts else None
        self.learn()
        try:
            yield
        finally:
            if dropping is not None:
                dropping.remove()
            self.wrapping.off()
            self.accelerator.free_memory()

    def progress(self, step: int) -> Progress:
        factors = {"reversal": self.levels.reversal, "added": self.levels.added}
        return Progress(self.number, step // self.epoch_steps, step, step / self.total, **factors)

    def before(self, at: Progress) -> None:
        """Refresh where it is due.

        The first weights that count as good are those after a first refresh.
        """
        if self.phase.refresh is not None and refresh_due(at.step, self.total, self.epoch_steps, self.phase):
            self.rest()
            with minded(self.strategy, "refresh"):
                self.phase.refresh(self.sweep, at)
            self.learn()
        if self.steering.controller is not None and at.step == 0:
            self.rest()
            self.steering.begin(self.ongoing.trace.steps)
            self.learn()

    def take(self, at: Progress) -> None:
        """Make one update."""
        if self.optimizer is not None:
            set_lr(self.optimizer, self.levels.lr * lr_factor(at.step, self.total, self.setup.optim))
        micro = [self.feed.draw() for _ in range(self.micro)]
        with minded(self.strategy, "its step"):
            generators = [self.phase.step(**streams, at=at) for streams in micro]
        said = self.lockstep.run(generators)
        self.logged.count(said)
        if self.steering.controller is not None:
            self.steering.window.count(said)
        if self.average is not None:
            self.average.update()
        self.ongoing.trace.steps += 1

    def update(self) -> None:
        if self.prepared is None:
            return
        if self.setup.optim.clip_norm is not None:
            self.accelerator.clip_grad_norm_(list(self.learning), self.setup.optim.clip_norm)
        self.prepared.step()
        self.prepared.zero_grad(set_to_none=True)

    def read(self, done: int) -> dict[str, float] | None:
        """Read the means of the logs where it is due. Some are added to the curves.

        Returns None also where they were not finite and the last good weights were restored.

        Raises:
            HubtlError: where a loss is not finite and no weights can be restored.
        """
        point = done % max(1, self.total // CURVE_POINTS) == 0 or done == self.total
        every = 1 if self.accelerator.device.type == "cpu" else 20  # reading a loss makes an accelerator wait
        if not (point or done % every == 0 or self.adjusting.due(done)):
            return None
        means = self.logged.means()
        lost, adjusts = not finite(means), self.steering.controller is not None
        if any_of(self.accelerator, lost) if adjusts else lost:
            self.retreat(means)
            return None
        if point:
            self.ongoing.note(means)
            self.logged.clear()
        return means

    def retreat(self, means: Mapping[str, float]) -> None:
        """Restore the last good weights, or end the run."""
        if self.steering.controller is not None:
            self.rest()
        steps = self.ongoing.trace.steps
        if not self.steering.retreat(steps):
            raise HubtlError(
                f"a loss of {label(self.strategy)} is not finite at update {steps} of phase "
                f"{self.phase.name!r}: {show(means)}",
                hint="a lower --lr, --set optim.clip_norm=1, or --mixed-precision bf16 instead of fp16",
            )
        self.learn()
        self.logged.clear()

    def learn(self) -> None:
        self.wrapping.on()
        set_modes(self.strategy, self.learning)

    def rest(self) -> None:
        self.wrapping.off()
        average_buffers(self.strategy, self.accelerator)

    @property
    def micro(self) -> int:
        """Return the number of micro-batches of an update."""
        return self.setup.run.gradient_accumulation_steps * int(self.levels.batch)

    def open(self, done: int) -> None:
        """Start reading the micro-batches of the remaining updates."""
        self.feed.open((self.total - done) * self.micro)

    def sweep(self, stream: str) -> Swept:
        """Run the model over a stream that the phase sees. The view is that of evaluation.

        Raises:
            HubtlError: for another stream.
        """
        if stream not in self.streams:
            raise HubtlError(f"phase {self.phase.name!r} sweeps {stream}, which it does not see", hint="add it to sees")
        rows = self.streams[stream].plain
        seen = outputs(self.strategy.deployed(), rows, self.accelerator)
        labels = self.streams[stream].labels
        return Swept(seen.features, seen.logits, None if labels is None else torch.from_numpy(labels))

    def state(self, done: int) -> dict[str, Any]:
        """Return the training's and this phase's checkpoint after ``done`` updates."""
        over = done == self.total
        state = {**self.ongoing.state(), **self.logged.state()}
        state |= {"phase": self.number + over, "step": 0 if over else done, "optimizer": None, "average": None}
        if self.optimizer is not None and not over:
            state["optimizer"] = self.optimizer.state_dict()
            state["average"] = None if self.average is None else self.average.state()
        if "steered" in state:
            state["steered"] |= {"window": self.steering.window.state(), "drawn": self.feed.drawn}
        return state

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from the result of ``state`` within this phase."""
        self.logged.load(state)
        if self.optimizer is None:
            return
        self.optimizer.load_state_dict(state["optimizer"])
        if (steered := state.get("steered")) is not None:
            self.feed.drawn, self.steering.window = steered["drawn"], Window(steered["window"])
        if self.average is not None and state.get("average") is not None:
            self.average.load(state["average"])
