"""Train and evaluate a run's two models in the same way. They are source-only and adapted."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch

from hubtl.card.plots import FeatureSample
from hubtl.engine.adjust import Controller
from hubtl.engine.device import Accelerator
from hubtl.engine.loop import Engine
from hubtl.engine.trace import Trace
from hubtl.judging.calibration import calibrate, fitted
from hubtl.judging.judge import Judge, assess
from hubtl.modules import Classifier
from hubtl.recipe.schema import RunSection
from hubtl.record import Adjustment, Calibration, Evaluation, Selection, Training
from hubtl.record.figures import SHARE
from hubtl.run import export, workplace
from hubtl.run.prepare import Prepared
from hubtl.run.watch import Watch
from hubtl.run.workplace import Workplace
from hubtl.strategy import Strategy
from hubtl.tasks import Task

BASELINE = "source-only"
TRAINING = 15_485_863  # added to the seed: dropout has random numbers of its own


@dataclass(frozen=True)
class Arm:
    """Hold one model of a run and its evaluation."""

    model: Classifier
    task: Task  # with what was fitted of this model
    evaluation: Evaluation
    calibration: Calibration | None = None
    training: Training | None = None  # None: the model is as it came
    sample: FeatureSample | None = None  # for the plot of features
    selection: Selection = field(default_factory=lambda: Selection(rule="last"))


@dataclass(frozen=True)
class Arms:
    """Make the arms of one run."""

    prepared: Prepared
    accelerator: Accelerator
    place: Workplace
    shown: bool = True
    key: str = ""  # of what of its states is kept apart from those of other members of the run

    def baseline(self, strategy: str) -> Arm | None:
        """Make the baseline of a strategy: a model of the source alone, or its initial model."""
        if self.prepared.setting == "source-free":
            model = self.prepared.build(strategy).deployed()
            return Arm(model, self.prepared.task, assess(self.prepared, model, self.accelerator, 0))
        if self.prepared.setting == "adaptation" and strategy != BASELINE:
            return self.trained(BASELINE)
        return None

    def trained(self, name: str, *, baseline: Evaluation | None = None) -> Arm:
        """Train a strategy, select its checkpoint, and evaluate it. The run's rule selects the checkpoint.

        The baseline itself always ships its last weights.

        Args:
            name: the strategy.
            baseline: the evaluation whose score on the source a checkpoint must keep.
        """
        prepared, accelerator, recipe = self.prepared, self.accelerator, self.prepared.recipe
        beside = name != recipe.strategy.name
        rule = "last" if beside else recipe.run.validator or "last"
        strategy = prepared.build(name)
        judge = Judge(prepared, accelerator, rule, source_score=_source_score(baseline, prepared.task.guard))
        engine = self._engine(name, judge, prefix=f"{name}/" if beside else "")
        torch.manual_seed(recipe.run.seed + TRAINING + accelerator.process_index)  # dropout differs between ranks
        trace = engine.train(strategy, prepared.streams.train, resume=self.place.goes_on)
        judge.restore(strategy)
        adapted = name != BASELINE
        return self.finished(strategy.deployed(), _training(trace), judge.selection, baseline, adapted=adapted)

    def finished(
        self,
        model: Classifier,
        training: Training,
        selection: Selection,
        baseline: Evaluation | None = None,
        *,
        adapted: bool = True,
    ) -> Arm:
        """Fit what follows training, such as thresholds, and evaluate the model.

        Args:
            model: the model.
            training: facts of its training.
            selection: facts of its checkpoint.
            baseline: the evaluation beside an adapted model.
            adapted: whether the model learnt on the target.
        """
        prepared, accelerator = self.prepared, self.accelerator
        calibration = None
        if prepared.recipe.run.calibrate:
            calibration = calibrate(prepared, model, accelerator)  # changes the head
        task = fitted(prepared, model, accelerator)
        return Arm(
            model,
            task,
            calibration=calibration,
            evaluation=assess(
                replace(prepared, task=task), model, accelerator, training.steps, baseline, adapted=adapted
            ),
            training=training,
            sample=export.look(prepared, model, accelerator),
            selection=selection,
        )

    def distilled(self, strategy: Strategy, steps: int) -> Classifier:
        """Train a student for a number of updates, and return its model."""
        recipe = self.prepared.recipe
        own = recipe.run.model_copy(update={"steps": steps, "epochs": None, "evaluate_every": steps})
        engine = self._engine("student", None, prefix="student/", run=own)
        torch.manual_seed(recipe.run.seed + TRAINING + self.accelerator.process_index)
        engine.train(strategy, self.prepared.streams.train, resume=self.place.goes_on)
        return strategy.deployed()

    def _engine(self, name: str, judge: Judge | None, *, prefix: str, run: RunSection | None = None) -> Engine:
        """Make an engine; ``prefix`` goes before the names of tracker values."""
        prepared, accelerator, recipe = self.prepared, self.accelerator, self.prepared.recipe

        def log(measured: Mapping[str, float], step: int) -> None:
            if accelerator.log_with:
                accelerator.log({f"{prefix}{key}": value for key, value in measured.items()}, step=step)

        decays = recipe.optim.weight_decay > 0
        return Engine(
            accelerator,
            recipe.optim,
            run or recipe.run,
            folder=self.place.folder / workplace.STATE / f"{name}{self.key}",
            title=f"{name}{self.key}",
            shown=self.shown and accelerator.is_main_process,
            judge=judge,
            log=log,
            num_workers=recipe.data.num_workers,
            controller=Controller(Watch(prepared, accelerator), decays=decays, words=prepared.task.collapsed_words)
            if recipe.run.adjust and judge is not None
            else None,
            memory=judge,
        )


def _source_score(baseline: Evaluation | None, guard: str) -> float | None:
    """Return the baseline's score on the source. Its scale is that of the guard's score."""
    if baseline is None or baseline.primary is None:
        return None
    return baseline.source if baseline.primary.unit == SHARE else baseline.scores.get(guard)


def _training(trace: Trace) -> Training:
    return Training(
        steps=trace.steps,
        seconds=trace.seconds,
        curves=trace.curves,
        resumed=trace.resumed,
        adjustments=[Adjustment(**told) for told in trace.adjustments],
    )
