"""Run a recipe: data, backbone, strategy, engine, evaluation, checkpoint, record, card, Hub."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hubtl import hub
from hubtl.engine.batchnorm import check_single
from hubtl.engine.device import Accelerator, check_trackers, make_accelerator, start_trackers
from hubtl.engine.faults import explained
from hubtl.engine.processes import all_of, first, reporting
from hubtl.engine.stop import Interrupted
from hubtl.errors import HubtlError
from hubtl.io.places import check_writable
from hubtl.judging.calibration import labelled_rows
from hubtl.judging.difference import difference
from hubtl.judging.disagreement import disagreement
from hubtl.judging.judge import doubts
from hubtl.judging.verdict import verdict
from hubtl.plugins.blame import minded
from hubtl.recipe.schema import Recipe
from hubtl.record import RunRecord, Verdict
from hubtl.run import energy, export, workplace
from hubtl.run.arm import Arm, Arms
from hubtl.run.features import with_features
from hubtl.run.members import kept, members_of, prepared_each, whole
from hubtl.run.plan import describe, facts, keep_source_only, plan_phases
from hubtl.run.prepare import Prepared, default_output_dir
from hubtl.run.result import Result
from hubtl.run.resume import check_same_data, check_same_recipe
from hubtl.run.several import together
from hubtl.run.workplace import Workplace
from hubtl.settings import logger


@minded()
def adapt(
    recipe: Recipe,
    *,
    command: str = "hubtl adapt recipe.yaml",
    resume: bool = False,
    overwrite: bool = False,
    shown: bool = True,
) -> Result:
    """Run a recipe from its data to its card. The result is pushed if the recipe says so.

    Nothing is written before everything that can be checked was checked.

    Args:
        recipe: the recipe.
        command: the command for the record.
        resume: continue an interrupted run, to the same weights.
        overwrite: remove what an earlier run wrote into the output directory, and nothing else.
        shown: show progress on stderr.

    Raises:
        HubtlError: for mistakes and for faults of the machine.
        Interrupted: when asked to stop, after a checkpoint.
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
            each = all_of(accelerator, lambda: _prepared(recipe, accelerator))
        prepared = each[0]
        folder = early or default_output_dir(whole(each))
        place = Workplace(folder, resume=resume, overwrite=overwrite)
        try:
            finished = first(accelerator, place.enter)
            if finished is not None:
                check_same_data(prepared, folder)
                check_same_recipe(whole(each), folder)
                logger.info("%s is finished already", folder)
                return Result(folder, finished)
            with explained(folder):
                return _run(each, command, accelerator, place, shown=shown)
        except KeyboardInterrupt as end:
            if not place.started():
                raise
            raise _stopped(Interrupted(getattr(end, "number", None)), folder) from end
        finally:
            for tracker in accelerator.trackers:
                tracker.finish()
            if accelerator.is_main_process:
                place.leave()


def _prepared(recipe: Recipe, accelerator: Accelerator) -> list[Prepared]:
    """Prepare the run on each of its backbones.

    Checks here fail before training, not hours after.
    """
    each = prepared_each(recipe, processes=accelerator.num_processes)
    prepared = each[0]
    for member in members_of(each):
        plan_phases(member.prepared, member.strategy)
    if recipe.run.calibrate:
        labelled_rows(prepared)  # or it would be missed after hours of training
    if prepared.recipe.run.batch_size == 1:
        own = prepared.recipe.ensemble.members or [prepared.recipe.strategy.name]
        for name in dict.fromkeys(("source-only", *own)):
            if name in own or (recipe.run.baseline and prepared.setting == "adaptation"):
                check_single(prepared.build(name), prepared.streams.train)
    return each


def _run(each: Sequence[Prepared], command: str, accelerator: Accelerator, place: Workplace, *, shown: bool) -> Result:
    prepared, folder = each[0], place.folder
    recipe = whole(each)
    record = facts(replace(prepared, recipe=recipe), command)

    def begin() -> bool:
        if place.goes_on:  # its recipe has every decision in it, so that none is left to make
            record.decisions = RunRecord.load(folder).decisions
            check_same_data(prepared, folder)
            check_same_recipe(recipe, folder)
        export.check_card(record, recipe.hub.push_to)
        logger.info(describe(record) + "\n")
        place.begin(kept(each).to_yaml(unset=False), record)
        return place.goes_on

    place.goes_on = first(accelerator, begin)
    meters = recipe.run.energy and accelerator.is_local_main_process  # one sees the whole machine
    try:
        with energy.metered(meters) as meter:
            each = [with_features(one, accelerator) for one in each]
            check_rows(each[0])
            start_trackers(accelerator, recipe.model_dump(mode="json"))
            result = _train(each, record, accelerator, place, meter, shown=shown)
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
    each: Sequence[Prepared],
    record: RunRecord,
    accelerator: Accelerator,
    place: Workplace,
    meter: energy.Meter | None,
    *,
    shown: bool,
) -> Result:
    prepared, folder = each[0], place.folder
    recipe = prepared.recipe
    arms = Arms(prepared, accelerator, place, shown=shown)
    before = arms.baseline(record.strategy) if recipe.run.baseline else None
    if before is not None:
        record.source_only, record.baseline_training = before.evaluation, before.training
        first(accelerator, lambda: record.save(folder))
    after, keep_members = together(arms, each, record, before)
    assert after.training is not None
    record.adapted, record.selection = after.evaluation, after.selection
    record.training = after.training.model_copy(update={"phases": record.training.phases})
    if record.target_labels in ("none", "selection"):  # by what the rule read, whatever it says of itself
        record.target_labels = "selection" if after.selection.oracle else "none"
    record.difference = difference(record.source_only, record.adapted)
    shipped, tried = after, None
    if before is not None:
        record.verdict = _judged(prepared, before, after, accelerator)
        logger.info("verdict    %s: %s", record.verdict.brief, record.verdict.reason)
        if recipe.run.fallback and record.verdict.answer == "source-only" and prepared.task.unknown is None:
            logger.info("kept       source-only in place of %s", record.strategy)
            tried = record.model_copy(deep=True)
            keep_source_only(record, prepared)
            shipped = before
    prepared = replace(prepared, task=shipped.task)
    record.outputs, record.calibration = shipped.task.outputs, shipped.calibration
    record.energy = None if meter is None else meter.read(partial=record.training.resumed > 0)
    record.warnings = [*prepared.warnings, *doubts(record)]
    samples = {"before": None if before is None else before.sample, "after": shipped.sample}

    def finish() -> None:
        with place.delivery() as stage:
            export.write(stage, prepared, record, shipped.model, samples)
            if before is not None and _keeps(recipe, record):
                if tried is None:
                    own = replace(prepared, task=before.task)
                    export.keep(stage / export.SOURCE_ONLY, own, record, before.model)
                else:
                    tried.calibration, tried.energy = after.calibration, record.energy
                    export.keep_tried(stage / export.ADAPTED, replace(prepared, task=after.task), tried, after.model)
            if recipe.ensemble.keep and keep_members is not None:
                keep_members(stage / export.ENSEMBLE)
            record.status = "finished"
            export.card(folder, record, into=stage)
        record.save(folder)

    first(accelerator, finish)
    return Result(folder, record)


def _keeps(recipe: Recipe, record: RunRecord) -> bool:
    """Return whether the model that is not shipped is saved too.

    It is where labels can decide between the two, also against a guard rail, or where none can be asked for.
    """
    if recipe.run.keep_source_only is not None:
        return recipe.run.keep_source_only
    return record.verdict is not None and record.verdict.contested


def _announce(plan: hub.PushResult) -> None:
    there = f", {len(plan.unchanged)} of them there already" if plan.unchanged else ""
    size = sum(size for name, size in plan.files if name not in plan.unchanged)
    logger.info("push       %d files to %s%s: %s bytes to send", len(plan.files), plan.repo, there, f"{size:,}")


def _judged(prepared: Prepared, before: Arm, after: Arm, accelerator: Accelerator) -> Verdict:
    cost = None if prepared.strategy_class.judging.forgets_source else prepared.task.cost
    unlearned = prepared.task.unlearned if prepared.setting == "adaptation" else None
    judged = replace(prepared, task=after.task)  # with its thresholds, as hubtl label compares the two
    apart = disagreement(judged, before.model, after.model, accelerator)
    among = len(prepared.streams.target_plain)
    found = verdict(
        *(before.evaluation, after.evaluation),
        cost=cost,
        unlearned=unlearned,
        disagreement=apart.share,
        among=among,
        asks=prepared.task.asks,
    )
    return found.model_copy(update={"gap": apart.gap})


def check_rows(prepared: Prepared) -> None:
    """Read the evaluation rows, to find unreadable ones before training."""
    streams = prepared.streams
    for rows in (streams.target_eval, streams.source_eval, streams.held_out):
        if rows is not None and (check := getattr(rows, "check", None)) is not None:
            check()
