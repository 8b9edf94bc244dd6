"""A run, as the story it is: recipe, data, backbone, strategy, engine, evaluation, checkpoint, record, card, Hub."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from hubtl import deliver, energy, hub
from hubtl.assess import Judge, assess, doubts, voters_on
from hubtl.calibration import calibrate, labelled_rows
from hubtl.data.content import MARK
from hubtl.engine.adjust import Controller
from hubtl.engine.device import Accelerator, check_trackers, make_accelerator, start_trackers
from hubtl.engine.loop import Engine
from hubtl.engine.stop import Interrupted
from hubtl.engine.trace import Trace
from hubtl.errors import HubtlError
from hubtl.evaluate import difference
from hubtl.plan import describe, facts, keep_source_only
from hubtl.prepare import Prepared, default_output_dir, prepare
from hubtl.reading import parse
from hubtl.recipe import Recipe
from hubtl.record import Adjustment, Calibration, Evaluation, RunRecord, Training, Verdict
from hubtl.reuse import with_features
from hubtl.settings import logger
from hubtl.strategy import Strategy
from hubtl.verdict import FLOOR, verdict
from hubtl.watch import Watch

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

    def summary(self) -> dict[str, Any]:
        """The run in short, as ``--json`` prints it."""
        record = self.record

        def figures(evaluation: Any) -> dict[str, Any] | None:
            if evaluation is None:
                return None
            keep = {
                "n",
                "unknown_class_rows",
                "unlabelled_rows",
                "accuracy",
                "balanced_accuracy",
                "macro_f1",
                "ece",
                "source_accuracy",
                "scores",
            }
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


def adapt(
    recipe: Recipe, *, command: str = "hubtl adapt recipe.yaml", resume: bool = False, shown: bool = True
) -> Result:
    """Run a recipe from its data to its card, and push it where the recipe says so.

    Nothing is written before everything that can be checked was checked. Raises HubtlError for mistakes, Interrupted
    (after
    a checkpoint) when asked to stop; ``resume`` then goes on to the same weights.
    """
    check_trackers(recipe.run.report_to)
    energy.check(recipe.run.energy)
    if recipe.hub.push_to:
        hub.check_push(recipe.hub.push_to)
    early = Path(recipe.run.output_dir) if recipe.run.output_dir else None
    if early is not None:
        _check_folder(early, resume)
    accelerator = make_accelerator(recipe.run, early / "training" if early else None)
    prepared = prepare(recipe, processes=accelerator.num_processes)
    if recipe.run.calibrate:
        labelled_rows(prepared)  # or it would be missed after hours of training
    folder = early or default_output_dir(prepared.recipe)
    finished = _check_folder(folder, resume)
    if resume:
        _check_same_data(prepared, folder)
    if finished is not None:
        logger.info("%s is finished already", folder)
        return Result(folder, finished)
    if resume and (folder / "recipe.yaml").exists():
        _check_same(prepared.recipe, folder)
    record = facts(prepared, command)
    deliver.check_card(record, recipe.hub.push_to)
    if accelerator.is_main_process:
        logger.info(describe(record) + "\n")
    accelerator.wait_for_everyone()  # a rank that is late would find what the main one has written, and refuse it
    if accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.yaml").write_text(prepared.recipe.to_yaml(), encoding="utf-8")
        record.save(folder)
    accelerator.wait_for_everyone()
    meters = recipe.run.energy and accelerator.is_local_main_process  # one sees the whole machine
    try:
        with energy.metered(meters) as meter:
            prepared = with_features(prepared, accelerator)
            check_rows(prepared)
            start_trackers(accelerator, prepared.recipe.model_dump(mode="json"))
            return _train(prepared, record, accelerator, folder, meter, resume=resume, shown=shown)
    except Interrupted as stop:
        stop.folder = folder
        record.status = "interrupted"
        if accelerator.is_main_process:
            record.save(folder)
        raise
    finally:
        accelerator.end_training()


def _train(
    prepared: Prepared,
    record: RunRecord,
    accelerator: Accelerator,
    folder: Path,
    meter: energy.Meter | None,
    *,
    resume: bool,
    shown: bool,
) -> Result:
    recipe, main = prepared.recipe, accelerator.is_main_process
    samples: dict[str, deliver.FeatureSample | None] = {}
    before: Strategy | None = None
    before_calibration: Calibration | None = None
    if prepared.setting == "source-free" and recipe.run.baseline:
        before = prepared.build(record.strategy)
        record.source_only = assess(prepared, before.deployed(), accelerator, 0)
    if prepared.setting == "adaptation" and recipe.run.baseline and record.strategy != "source-only":
        before, trace, _ = _fit("source-only", prepared, accelerator, folder, resume=resume, shown=shown)
        before_calibration = calibrate(prepared, before.deployed(), accelerator) if recipe.run.calibrate else None
        record.source_only = assess(prepared, before.deployed(), accelerator, trace.steps)
        record.baseline_training = training(trace)
        samples["before"] = deliver.look(prepared, before.deployed(), accelerator)
        if main:
            record.save(folder)
    name = record.strategy
    strategy, trace, judge = _fit(
        name, prepared, accelerator, folder, resume=resume, shown=shown, baseline=record.source_only
    )
    judge.restore(strategy)
    model = strategy.deployed()
    if recipe.run.calibrate:
        record.calibration = calibrate(prepared, model, accelerator)
    record.selection = judge.selection
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
    pushed = None
    if main:
        deliver.write(folder, prepared, record, model, samples)
        if recipe.run.keep_source_only and before is not None:
            deliver.keep(folder / deliver.SOURCE_ONLY, prepared, record, before.deployed())
        record.status = "finished"
        record.save(folder)
        deliver.card(folder, record)
        if recipe.hub.push_to:
            pushed = hub.push(folder, recipe.hub.push_to, private=recipe.hub.private, announce=_announce)
    accelerator.wait_for_everyone()
    return Result(folder, record, pushed.url if pushed else None, pushed)


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
    folder: Path,
    *,
    resume: bool,
    shown: bool,
    baseline: Evaluation | None = None,
) -> tuple[Strategy, Trace, Judge]:
    recipe = prepared.recipe
    beside = name != recipe.strategy.name
    floor = None if baseline is None else baseline.source_accuracy
    own = folder / "training" / name
    if not resume and accelerator.is_main_process and own.exists():
        shutil.rmtree(own)
    accelerator.wait_for_everyone()
    strategy = prepared.build(name)
    rule = "last" if beside else recipe.run.validator or "last"
    judge = Judge(prepared, accelerator, rule, own, source_accuracy=floor)
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
        folder=own,
        title=name,
        shown=shown and accelerator.is_main_process,
        judge=judge,
        log=log,
        num_workers=recipe.data.num_workers,
        controller=controller,
    )
    torch.manual_seed(recipe.run.seed + TRAINING + accelerator.process_index)  # dropout differs between ranks
    trace = engine.train(strategy, prepared.streams.train, resume=resume)
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


def _check_folder(folder: Path, resume: bool) -> RunRecord | None:
    """The record of a run that is finished already. Raises HubtlError for a folder that is not ours to write."""
    if not folder.exists() or not any(folder.iterdir() if folder.is_dir() else [folder]):
        return None
    if folder.is_dir() and (folder / "record.json").exists() and resume:
        record = RunRecord.load(folder)
        return record if record.status == "finished" else None
    if folder.is_dir() and resume:
        raise HubtlError(f"{folder} holds no run to resume", hint="leave --resume out, and choose another --output-dir")
    started = folder.is_dir() and (folder / "record.json").exists() and RunRecord.load(folder).status != "finished"
    hint = "--resume to go on with the run in it, or another --output-dir" if started else "another --output-dir"
    raise HubtlError(f"the output directory {folder} is not empty", hint=hint)


def _check_same(recipe: Recipe, folder: Path) -> None:
    """A run can be resumed with the recipe that it was started with, and no other."""
    before = _flat(parse(yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))))
    now = _flat(recipe)
    changed = [key for key in sorted({*before, *now} - FREE_TO_CHANGE) if before.get(key) != now.get(key)]
    if changed:
        listed = ", ".join(f"{key} ({before.get(key)} → {now.get(key)})" for key in changed)
        raise HubtlError(
            f"the run in {folder} was started with another recipe: {listed}",
            hint=f"hubtl adapt --resume --output-dir {folder}",
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
