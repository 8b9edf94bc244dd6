"""A run, as the story it is: recipe, data, backbone, strategy, engine, evaluation, checkpoint, record, card, Hub."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hubtl import hub
from hubtl.data.content import MARK
from hubtl.engine.adjust import Controller
from hubtl.engine.batchnorm import check_single
from hubtl.engine.device import Accelerator, check_trackers, make_accelerator, start_trackers
from hubtl.engine.faults import explained
from hubtl.engine.loop import Engine
from hubtl.engine.processes import all_of, first, reporting
from hubtl.engine.stop import Interrupted
from hubtl.engine.trace import Trace
from hubtl.errors import HubtlError
from hubtl.io.places import check_writable
from hubtl.io.shown import typed
from hubtl.judging.calibration import calibrate, labelled_rows
from hubtl.judging.figures import difference
from hubtl.judging.judge import Judge, assess, doubts, voters_on
from hubtl.judging.verdict import FLOOR, verdict
from hubtl.plugins.blame import minded
from hubtl.recipe.reading import parse, read
from hubtl.recipe.schema import Recipe
from hubtl.record import NUMBERS, Adjustment, Calibration, Evaluation, RunRecord, Training, Verdict
from hubtl.run import energy, workplace
from hubtl.run import export as deliver
from hubtl.run.features import with_features
from hubtl.run.plan import describe, facts, keep_source_only
from hubtl.run.prepare import Prepared, default_output_dir, prepare
from hubtl.run.watch import Watch
from hubtl.run.workplace import Workplace
from hubtl.settings import logger
from hubtl.strategy import Strategy

TRAINING = 15_485_863  # added to the seed: dropout has random numbers of its own
FREE_TO_CHANGE = {
    "run.checkpoint_every",
    "run.report_to",
    "run.output_dir",
    "run.plots",
    "run.keep_source_only",
    "run.energy",
    "data.num_workers",
}


@dataclass(frozen=True)
class Result:
    """What ``hubtl.adapt`` returns."""

    output_dir: Path
    record: RunRecord
    url: str | None = None  # of the push's commit
    pushed: hub.PushResult | None = None
    not_pushed: HubtlError | None = None  # why the push failed, and the command that tries it again; the run is whole

    def summary(self) -> dict[str, Any]:
        """The run in short, as ``--json`` prints it."""
        record = self.record

        def figures(evaluation: Any) -> dict[str, Any] | None:
            if evaluation is None:
                return None
            keep = {*NUMBERS, "scores"}
            if record.unknown:
                keep |= {"known_recall", "unknown_recall", "hos"}
            return evaluation.model_dump(include=keep)

        return {
            "output_dir": str(self.output_dir),
            "setting": record.setting,
            "strategy": record.strategy,
            "model": record.model.name,
            "target": {"source_only": figures(record.source_only), "adapted": figures(record.adapted)},
            "selection": {"rule": record.selection.rule, "oracle": record.selection.oracle},
            "steps": record.training.steps,
            "seconds": round(record.training.seconds, 3),
            "warnings": record.warnings,
            "url": self.url,
        }


@minded()
def adapt(
    recipe: Recipe,
    *,
    command: str = "hubtl adapt recipe.yaml",
    resume: bool = False,
    overwrite: bool = False,
    shown: bool = True,
) -> Result:
    """Run a recipe from its data to its card, and push it where the recipe says so.

    Nothing is written before everything that can be checked was checked. ``resume`` goes on with an interrupted run, to
    the same weights; ``overwrite`` removes what an earlier run wrote into the output directory, and nothing else.

    Raises HubtlError for mistakes and for faults of the machine, and Interrupted (after a checkpoint) when asked to stop.
    """
    with reporting():
        check_trackers(recipe.run.report_to)
        energy.check(recipe.run.energy)
        if recipe.hub.push_to:
            hub.check_push(recipe.hub.push_to)
        early = Path(recipe.run.output_dir) if recipe.run.output_dir else None
        accelerator = make_accelerator(recipe.run, early / workplace.STATE if early else None)
        if early is None:
            first(accelerator, lambda: check_writable(Path("runs")))
        else:
            first(accelerator, Workplace(early, resume=resume, overwrite=overwrite).look)
        with explained():
            prepared = all_of(accelerator, lambda: _prepared(recipe, accelerator))
        folder = early or default_output_dir(prepared.recipe)
        place = Workplace(folder, resume=resume, overwrite=overwrite)
        try:
            finished = first(accelerator, place.enter)
            if finished is not None:
                _check_same_data(prepared, folder)
                _check_same(prepared.recipe, folder)
                logger.info("%s is finished already", folder)
                return Result(folder, finished)
            with explained(folder):
                return _run(prepared, command, accelerator, place, shown=shown)
        except KeyboardInterrupt as end:
            if not place.started():
                raise
            raise _stopped(Interrupted(getattr(end, "number", None)), folder) from end
        finally:
            for tracker in accelerator.trackers:
                tracker.finish()
            if accelerator.is_main_process:
                place.leave()


def _prepared(recipe: Recipe, accelerator: Accelerator) -> Prepared:
    prepared = prepare(recipe, processes=accelerator.num_processes)
    if recipe.run.calibrate:
        labelled_rows(prepared)  # or it would be missed after hours of training
    if prepared.recipe.run.batch_size == 1:
        for name in dict.fromkeys(("source-only", prepared.recipe.strategy.name)):
            if name == prepared.recipe.strategy.name or (recipe.run.baseline and prepared.setting == "adaptation"):
                check_single(prepared.build(name), prepared.streams.train)
    return prepared


def _run(prepared: Prepared, command: str, accelerator: Accelerator, place: Workplace, *, shown: bool) -> Result:
    recipe, folder = prepared.recipe, place.folder
    record = facts(prepared, command)

    def begin() -> bool:
        if place.goes_on:
            _check_same_data(prepared, folder)
            _check_same(recipe, folder)
        deliver.check_card(record, recipe.hub.push_to)
        logger.info(describe(record) + "\n")
        place.begin(recipe.to_yaml(), record)
        return place.goes_on

    place.goes_on = first(accelerator, begin)
    meters = recipe.run.energy and accelerator.is_local_main_process  # one sees the whole machine
    try:
        with energy.metered(meters) as meter:
            prepared = with_features(prepared, accelerator)
            check_rows(prepared)
            start_trackers(accelerator, recipe.model_dump(mode="json"))
            result = _train(prepared, record, accelerator, place, meter, shown=shown)
    except Interrupted as stop:
        record.status = "interrupted"
        if accelerator.is_main_process:
            record.save(folder)
        raise _stopped(stop, folder) from None
    if recipe.hub.push_to and accelerator.is_main_process:
        try:
            pushed = hub.push(folder, recipe.hub.push_to, private=recipe.hub.private, announce=_announce)
        except HubtlError as error:  # the run is finished, and its figures are said first
            return Result(folder, record, not_pushed=error)
        return Result(folder, record, pushed.url, pushed)
    return result


def _stopped(stop: Interrupted, folder: Path) -> Interrupted:
    stop.folder = folder
    return stop


def _train(
    prepared: Prepared,
    record: RunRecord,
    accelerator: Accelerator,
    place: Workplace,
    meter: energy.Meter | None,
    *,
    shown: bool,
) -> Result:
    recipe, folder = prepared.recipe, place.folder
    samples: dict[str, deliver.FeatureSample | None] = {}
    before: Strategy | None = None
    before_calibration: Calibration | None = None
    if prepared.setting == "source-free" and recipe.run.baseline:
        before = prepared.build(record.strategy)
        record.source_only = assess(prepared, before.deployed(), accelerator, 0)
    if prepared.setting == "adaptation" and recipe.run.baseline and record.strategy != "source-only":
        before, trace, _ = _fit("source-only", prepared, accelerator, place, shown=shown)
        before_calibration = calibrate(prepared, before.deployed(), accelerator) if recipe.run.calibrate else None
        record.source_only = assess(prepared, before.deployed(), accelerator, trace.steps)
        record.baseline_training = training(trace)
        samples["before"] = deliver.look(prepared, before.deployed(), accelerator)
        first(accelerator, lambda: record.save(folder))
    name = record.strategy
    strategy, trace, judge = _fit(name, prepared, accelerator, place, shown=shown, baseline=record.source_only)
    judge.restore(strategy)
    model = strategy.deployed()
    if recipe.run.calibrate:
        record.calibration = calibrate(prepared, model, accelerator)
    record.selection = judge.selection
    if record.target_labels in ("none", "selection"):  # by what the rule read, whatever it says of itself
        record.target_labels = "selection" if judge.selection.oracle else "none"
    record.adapted = assess(prepared, model, accelerator, trace.steps)
    record.difference = difference(record.source_only, record.adapted)
    record.training = training(trace, record.training)
    samples["after"] = deliver.look(prepared, model, accelerator)
    if record.source_only is not None and before is not None:
        record.verdict = _judged(prepared, record.source_only, record.adapted)
        if recipe.run.fallback and not record.verdict.adapted and prepared.unknown is None:
            logger.info("kept       source-only: %s", record.verdict.reason)
            keep_source_only(record, prepared)
            model, samples["after"] = before.deployed(), samples.get("before")
            record.calibration, before = before_calibration, None
    record.energy = None if meter is None else meter.read(partial=record.training.resumed > 0)
    record.warnings = [*prepared.warnings, *doubts(record)]

    def finish() -> None:
        with place.delivery() as stage:
            deliver.write(stage, prepared, record, model, samples)
            if recipe.run.keep_source_only and before is not None:
                deliver.keep(stage / deliver.SOURCE_ONLY, prepared, record, before.deployed())
            record.status = "finished"
            deliver.card(folder, record, into=stage)
        record.save(folder)

    first(accelerator, finish)
    return Result(folder, record)


def _announce(plan: hub.PushResult) -> None:
    there = f", {len(plan.unchanged)} of them there already" if plan.unchanged else ""
    size = sum(size for name, size in plan.files if name not in plan.unchanged)
    logger.info("push       %d files to %s%s: %s bytes to send", len(plan.files), plan.repo, there, f"{size:,}")


def _judged(prepared: Prepared, before: Evaluation, after: Evaluation) -> Verdict:
    cls = prepared.strategy_class
    floor = None if cls.forgets_source else FLOOR
    return verdict(before, after, voters_on(cls), cls.improves, comparable=prepared.unknown is None, floor=floor)


def _fit(
    name: str,
    prepared: Prepared,
    accelerator: Accelerator,
    place: Workplace,
    *,
    shown: bool,
    baseline: Evaluation | None = None,
) -> tuple[Strategy, Trace, Judge]:
    recipe = prepared.recipe
    beside = name != recipe.strategy.name
    floor = None if baseline is None else baseline.source_accuracy
    strategy = prepared.build(name)
    rule = "last" if beside else recipe.run.validator or "last"
    judge = Judge(prepared, accelerator, rule, source_accuracy=floor)
    prefix = "source-only/" if beside else ""

    def log(measured: Mapping[str, float], step: int) -> None:
        if accelerator.log_with:
            accelerator.log({f"{prefix}{key}": value for key, value in measured.items()}, step=step)

    decays = recipe.optim.weight_decay > 0
    controller = Controller(Watch(prepared, accelerator), decays=decays) if recipe.run.adjust else None
    engine = Engine(
        accelerator,
        recipe.optim,
        recipe.run,
        folder=place.folder / workplace.STATE / name,
        title=name,
        shown=shown and accelerator.is_main_process,
        judge=judge,
        log=log,
        num_workers=recipe.data.num_workers,
        controller=controller,
        memory=judge,
    )
    torch.manual_seed(recipe.run.seed + TRAINING + accelerator.process_index)  # dropout differs between ranks
    trace = engine.train(strategy, prepared.streams.train, resume=place.goes_on)
    return strategy, trace, judge


def training(trace: Trace, known: Training | None = None) -> Training:
    return Training(
        phases=known.phases if known else [],
        steps=trace.steps,
        seconds=trace.seconds,
        curves=trace.curves,
        resumed=trace.resumed,
        adjustments=[Adjustment(**told) for told in trace.adjustments],
    )


def _check_same(recipe: Recipe, folder: Path) -> None:
    """A run can be resumed with the recipe that it was started with, and no other."""
    kept = RunRecord.load(folder).recipe or read(folder / "recipe.yaml")
    before, now = _flat(parse(kept)), _flat(recipe)
    changed = [key for key in sorted({*before, *now} - FREE_TO_CHANGE) if before.get(key) != now.get(key)]
    if changed:
        listed = ", ".join(f"{key} ({before.get(key)} → {now.get(key)})" for key in changed)
        raise HubtlError(
            f"the run in {folder} was started with another recipe: {listed}",
            hint=f"hubtl adapt --resume --output-dir {typed(folder)}, with recipe.yaml there as the run wrote it; or --overwrite",
        )


def _check_same_data(prepared: Prepared, folder: Path) -> None:
    """A run is gone on with, or its figures taken over, on the data that it was started with, and no others."""
    if not (folder / "record.json").exists():
        return
    before = RunRecord.load(folder)
    for role, old, new in (("source", before.source, prepared.source), ("target", before.target, prepared.target)):
        if old is None or new is None or not old.fingerprint.startswith(MARK):
            continue  # a record of an earlier hubtl says nothing of the content
        if old.fingerprint != new.fingerprint:
            raise HubtlError(
                f"the data of the {role} have changed since the run in {folder} was started: {new.dataset}",
                hint="another --output-dir, or the data as they were",
            )


def check_rows(prepared: Prepared) -> None:
    """Read the rows that are evaluated on: an unreadable one would be met after the training."""
    streams = prepared.streams
    for rows in (streams.target_eval, streams.source_eval, streams.held_out):
        if rows is not None and (check := getattr(rows, "check", None)) is not None:
            check()


def _flat(recipe: Recipe) -> dict[str, Any]:
    found = {}
    for section, value in recipe.model_dump(mode="json").items():
        for key, item in (value or {}).items():
            found[f"{section}.{key}"] = item
    return found
