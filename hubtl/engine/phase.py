"""One phase of a training: its streams, its updates, and what is judged, saved or adjusted between two of them."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hubtl.backbones.base import Backbone
from hubtl.batch import Batch
from hubtl.data.images import ImageSet
from hubtl.data.streams import StepBatches, load, steps_per_epoch
from hubtl.engine import checkpoint
from hubtl.engine.average import WeightAverage
from hubtl.engine.lockstep import Lockstep
from hubtl.engine.modes import average_buffers, freeze_all_but, learning_groups, set_modes
from hubtl.engine.optimise import lr_factor, make_optimizer, set_lr
from hubtl.engine.progress import Bar, show
from hubtl.engine.steer import Steering, Window, drop_before
from hubtl.engine.stop import Interrupted, StopRequest
from hubtl.engine.sweep import outputs
from hubtl.engine.trace import Trace
from hubtl.engine.wrap import Wrapping
from hubtl.errors import HubtlError
from hubtl.plugins.blame import label, minded
from hubtl.recipe.schema import RunSection
from hubtl.strategy import Phase, Progress, Strategy, Swept

if TYPE_CHECKING:
    from hubtl.engine.loop import Engine

CURVE_POINTS = 100  # of a phase, in the record


class PhaseRun:
    """One phase on its way: its steps, and what happens between two updates."""

    def __init__(
        self,
        engine: "Engine",
        strategy: Strategy,
        phase: Phase,
        number: int,
        streams: Mapping[str, ImageSet],
        tunable: set[nn.Parameter],
        trace: Trace,
        began: float,
        stop: StopRequest,
    ) -> None:
        self.engine, self.strategy, self.phase, self.number = engine, strategy, phase, number
        self.trace, self.began, self.stop = trace, began, stop
        self.accelerator = accelerator = engine.accelerator
        self.streams = {name: open_stream(streams, name, f"phase {phase.name!r}") for name in phase.sees}
        self.micro = engine.run.gradient_accumulation_steps
        rows = engine.run.batch_size * self.micro * accelerator.num_processes
        self.epoch_steps = steps_per_epoch(self.streams, rows)
        self.total = phase_steps(phase, engine.run, self.epoch_steps)
        groups = learning_groups(phase.learns, tunable)
        self.learning = {p for ps in groups.values() for p in ps}
        freeze_all_but(strategy, self.learning)
        # a phase in which nothing learns, such as one that estimates statistics, has no optimiser
        own = strategy.encoder.backbone.rates() if isinstance(strategy.encoder.backbone, Backbone) else {}
        self.optimizer = make_optimizer(groups, engine.optim, phase.lr, phase.momentum, own) if phase.learns else None
        self.prepared = accelerator.prepare_optimizer(self.optimizer) if self.optimizer is not None else None
        self.lockstep = Lockstep(phase, groups, accelerator.backward, self.update)
        self.wrapping = Wrapping(strategy, self.learning, accelerator)
        self.sums: dict[str, torch.Tensor] = {}
        self.counted = 0
        decay, told = engine.optim.weight_decay, trace.adjustments
        self.steering = Steering(engine.controller, strategy, phase, self.optimizer, accelerator, decay, told)
        self.levels = self.steering.levels
        set_modes(strategy, self.learning)
        width, ordered = engine.optim.averaging, [p for ps in groups.values() for p in ps]
        self.average = self.steering.average = WeightAverage(strategy, ordered, width) if width and ordered else None
        self.drawn = 0  # micro-batches of this phase

    def run(self, first: int, left: dict[str, Any] | None) -> None:
        """From the update ``first`` on; ``left`` is what a checkpoint in the middle of the phase kept."""
        engine, accelerator, total = self.engine, self.accelerator, self.total
        self.drawn = first * self.micro
        if left is not None and self.optimizer is not None:
            self.optimizer.load_state_dict(left["optimizer"])
            if (steered := left.get("steered")) is not None:
                self.drawn, self.steering.window = steered["drawn"], Window(steered["window"])
            if self.average is not None and left.get("average") is not None:
                self.average.load(left["average"])
        if left is not None:
            self.sums, self.counted = left["sums"], left["counted"]
        self.batches = StepBatches(
            self.streams,
            batch_size=engine.run.batch_size,
            seed=engine.run.seed + 1_000_003 * self.number,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
        )
        self.open_loader(first)
        read_every = 1 if accelerator.device.type == "cpu" else 20  # reading a loss makes an accelerator wait
        point = max(1, total // CURVE_POINTS)
        dropping = drop_before(self.strategy.head, self.levels) if self.steering.controller is not None else None
        self.learn()
        if left is not None:
            checkpoint.restore_random(left, accelerator)
        try:
            with Bar(engine.title, total, start=first, shown=engine.shown) as bar:
                for step in range(first, total):
                    factors = {"reversal": self.levels.reversal, "added": self.levels.added}
                    at = Progress(self.number, step // self.epoch_steps, step, step / total, **factors)
                    if self.phase.refresh is not None and refresh_due(step, total, self.epoch_steps, self.phase):
                        self.rest()
                        with minded(self.strategy, "refresh"):
                            self.phase.refresh(self.sweep, at)
                        self.learn()
                    if self.steering.controller is not None and step == 0:  # a first refresh belongs to what is good
                        self.rest()
                        self.steering.begin(self.trace.steps)
                        self.learn()
                    if self.optimizer is not None:
                        set_lr(self.optimizer, self.levels.lr * lr_factor(step, total, engine.optim))
                    micro = [self.draw() for _ in range(self.micro * int(self.levels.batch))]
                    with minded(self.strategy, "its step"):
                        generators = [self.phase.step(**streams, at=at) for streams in micro]
                    self.count(self.lockstep.run(generators))
                    if self.average is not None:
                        self.average.update()
                    self.trace.steps += 1
                    done = step + 1
                    due = done % point == 0 or done == total
                    reading = due or done % read_every == 0 or self.looks(done)
                    means = self.read() if reading else None
                    bar.advance(done, means)
                    if due and means is not None:
                        self.note(means)
                        self.sums, self.counted = {}, 0
                    self.pause(done)
        finally:
            if dropping is not None:
                dropping.remove()
            self.wrapping.off()
            accelerator.free_memory()

    def open_loader(self, done: int) -> None:
        """From the next micro-batch to as many as the updates that are left will draw."""
        left = (self.total - done) * self.micro * int(self.levels.batch)
        self.loader = load(self.batches, self.drawn, self.drawn + left, num_workers=self.engine.num_workers)

    def draw(self) -> dict[str, Batch]:
        self.drawn += 1
        return {name: batch.to(self.accelerator.device) for name, batch in next(self.loader).items()}

    def update(self) -> None:
        if self.prepared is None:
            return
        if self.engine.optim.clip_norm is not None:
            self.accelerator.clip_grad_norm_(list(self.learning), self.engine.optim.clip_norm)
        self.prepared.step()
        self.prepared.zero_grad(set_to_none=True)

    def learn(self) -> None:
        self.wrapping.on()
        set_modes(self.strategy, self.learning)

    def rest(self) -> None:
        self.wrapping.off()
        average_buffers(self.strategy, self.accelerator)

    def pause(self, done: int) -> None:
        """Judge, checkpoint or stop between two updates, where it is time to."""
        engine, over = self.engine, done == self.total
        judging = engine.judge is not None and self.evaluates(done)
        stopping = self.any_rank(bool(self.stop)) and not over
        saving = engine.folder is not None and (over or stopping or done % engine.run.checkpoint_every == 0)
        if not (judging or stopping or saving or over or self.looks(done)):
            return
        self.rest()
        if self.looks(done):
            batch = self.levels.batch
            if measured := self.steering.look(self.trace.steps, done / self.total):
                self.note(measured)
            if self.levels.batch != batch:
                self.open_loader(done)
        if judging or over:
            self.exchange()
        if judging and engine.judge is not None:
            self.note(engine.judge(self.strategy, self.trace.steps))
        if judging and not over:
            self.exchange()
        if saving and engine.folder is not None:
            place: dict[str, Any] = {"phase": self.number + over, "step": 0 if over else done}
            keep = not over and self.optimizer is not None
            place["optimizer"] = self.optimizer.state_dict() if keep and self.optimizer is not None else None
            place["sums"], place["counted"] = self.sums, self.counted
            place["average"] = self.average.state() if keep and self.average is not None else None
            self.save(engine.folder, place)
        if stopping:
            raise Interrupted(self.stop.number)
        if not over:
            self.learn()

    def exchange(self) -> None:
        """The average in place of the last weights, or these back; after the last update the average stays."""
        if self.average is not None:
            self.average.exchange()
            average_buffers(self.strategy, self.accelerator)

    def evaluates(self, done: int) -> bool:
        """Half of an estimate is no model: a phase in which nothing learns is judged at its end."""
        every = self.engine.run.evaluate_every or self.total
        return done == self.total or (self.optimizer is not None and done % every == 0)

    def looks(self, done: int) -> bool:
        return self.steering.controller is not None and self.evaluates(done)

    def read(self) -> dict[str, float] | None:
        """The means of what was logged; None where they were not finite and the last good weights are back.

        Raises HubtlError where nobody can take the run back.
        """
        means = self.means()
        lost = not all(math.isfinite(value) for value in means.values())
        if not (lost if self.steering.controller is None else self.any_rank(lost)):
            return means
        if self.steering.controller is not None:
            self.rest()
        if not self.steering.retreat(self.trace.steps):
            raise HubtlError(
                f"a loss of {label(self.strategy)} is not finite at update {self.trace.steps} of phase "
                f"{self.phase.name!r}: {show(means)}",
                hint="a lower --lr, --set optim.clip_norm=1, or --mixed-precision bf16 instead of fp16",
            )
        self.learn()
        self.sums, self.counted = {}, 0
        return None

    def save(self, folder: Path, place: dict[str, Any]) -> None:
        state = {
            **place,
            "strategy": self.strategy.state_dict(),
            "steps": self.trace.steps,
            "seconds": time.monotonic() - self.began,
            "curves": self.trace.curves,
            "resumed": self.trace.resumed,
        }
        if self.engine.memory is not None:
            state["memory"] = self.engine.memory.state()
        if self.engine.controller is not None:
            adjusted = {"adjustments": self.trace.adjustments, "controller": self.engine.controller.state()}
            state["steered"] = {**adjusted, "window": self.steering.window.state(), "drawn": self.drawn}
        checkpoint.save(folder, state, self.accelerator)

    def any_rank(self, here: bool) -> bool:
        """Whether something is so on one of the ranks."""
        if self.accelerator.num_processes == 1:
            return here
        flag = torch.tensor(float(here), device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, reduction="sum") > 0)

    def sweep(self, stream: str) -> Swept:
        """A stream that the phase sees, in its evaluation view. Raises HubtlError for another."""
        if stream not in self.streams:
            raise HubtlError(f"phase {self.phase.name!r} sweeps {stream}, which it does not see", hint="add it to sees")
        rows = self.streams[stream].plain
        seen = outputs(self.strategy.deployed(), rows, self.accelerator)
        labels = self.streams[stream].labels
        return Swept(seen.features, seen.logits, None if labels is None else torch.from_numpy(labels))

    def count(self, said: Mapping[str, torch.Tensor]) -> None:
        for name, value in said.items():
            self.sums[name] = self.sums[name].to(value.device) + value if name in self.sums else value
        self.counted += 1
        if self.steering.controller is not None:
            self.steering.window.count(said)

    def means(self) -> dict[str, float]:
        """The logged scalars since the last point of the curve."""
        return {name: float(value) / self.counted for name, value in self.sums.items()}

    def note(self, measured: Mapping[str, float]) -> None:
        self.trace.curves.append({"step": float(self.trace.steps), **measured})
        if self.engine.log is not None:
            self.engine.log(measured, self.trace.steps)


def phase_steps(phase: Phase, run: RunSection, per_epoch: int) -> int:
    """Updates of a phase: its own number, its epochs, or its share of the run's."""
    assert run.steps is not None
    if phase.steps is not None:
        return phase.steps
    if phase.epochs is not None:
        return max(1, round(phase.epochs * per_epoch))
    return max(1, round(run.steps * phase.share))


def refresh_due(step: int, total: int, per_epoch: int, phase: Phase) -> bool:
    """Whether a phase refreshes before a step: where an epoch begins, or evenly where it has too few epochs."""
    wanted = phase.refreshes or 0
    if wanted * per_epoch <= total:
        return step % per_epoch == 0
    return step == 0 or step * wanted // total > (step - 1) * wanted // total


def open_stream(streams: Mapping[str, ImageSet], name: str, who: str = "the strategy") -> ImageSet:
    if name not in streams:
        raise HubtlError(
            f"{who} needs a {name} stream, and the run has only: {', '.join(streams)}",
            hint=f"--{name}-dataset, or another --strategy",
        )
    return streams[name]
