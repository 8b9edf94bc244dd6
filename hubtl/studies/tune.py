"""Search hyper-parameters on a label-free score (``hubtl tune``).

They are learning rate, decay and a strategy's options.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from hubtl import plugins
from hubtl.engine.adjust import Controller
from hubtl.engine.device import Accelerator, make_accelerator
from hubtl.engine.loop import Engine
from hubtl.errors import HubtlError
from hubtl.io import files, jsontext
from hubtl.io.places import check_writable
from hubtl.judging.judge import Judge, fallen, gather, label_free
from hubtl.judging.validators import LABELS, rule_of, score_of
from hubtl.recipe.ranges import Axis, derived, pairs, written
from hubtl.recipe.reading import merge, parse
from hubtl.recipe.schema import Recipe
from hubtl.run.arm import TRAINING
from hubtl.run.features import with_features
from hubtl.run.members import models_of
from hubtl.run.prepare import Prepared, default_output_dir, prepare
from hubtl.run.streams import NO_TARGET_LABELS
from hubtl.run.watch import Watch
from hubtl.settings import logger
from hubtl.studies.journal import at_work, best_on_source, finished, opened, refusal

HELD_OUT = "held-out"  # minus the loss on rows that are held out of a labelled target's training rows
HOLD_OUT = 0.1  # of them
BELOW = 1e6  # what a trial that a guard rail refuses is ranked by: any other is better


@dataclass(frozen=True)
class Tuning:
    """Hold every trial, best first, and the folder with ``tune.json`` and ``recipe.yaml``."""

    output_dir: Path
    objective: str
    oracle: bool
    trials: list[dict[str, Any]]

    @property
    def best(self) -> dict[str, Any] | None:
        """Return the best trial that no guard rail rejects; None where there is none."""
        first = self.trials[0] if self.trials else None
        return first if first is not None and first["refused"] is None else None

    def summary(self) -> dict[str, Any]:
        return {
            "output_dir": str(self.output_dir),
            "objective": self.objective,
            "oracle": self.oracle,
            "best": self.best["number"] if self.best else None,
            "trials": self.trials,
        }


def tune(
    recipe: Mapping[str, Any],
    *,
    trials: int = 20,
    search: Sequence[str] = (),
    validator: str | None = None,
    oracle: bool = False,
    output_dir: str | Path | None = None,
    shown: bool = False,
) -> Tuning:
    """Search for the options under which a recipe scores best.

    Each trial trains the same model on the same data from the same seed. A trial that collapses, or that loses more
    than a tenth of the best score on the source, is ranked behind all others.

    Args:
        recipe: a raw recipe; ``tune`` in it maps keys to ranges, as ``search`` does.
        trials: the total number of trials; a folder with some gets the rest.
        search: ``KEY=LOW:HIGH[:log]``; by default the ranges of ``hubtl.recipe.ranges.derived``.
        validator: the score. By default the recipe's if it can be compared between runs, else the task's first voter;
            where the target's labels are learnt from, minus the loss on held-out training rows.
        oracle: allow a score or a checkpoint rule that reads target labels.
        output_dir: by default ``runs/MODEL-STRATEGY-TARGET-tune``.
        shown: show progress on stderr.

    Raises:
        HubtlError: for mistakes.
        Interrupted: when asked to stop; the next call repeats the interrupted trial.
    """
    if find_spec("optuna") is None:
        raise HubtlError("hubtl tune needs optuna, which is not installed", hint='pip install "hubtl[tune]"')
    raw = dict(recipe)
    ranges = pairs(search, _mapping(raw.pop("tune", None)))
    checked = parse(raw)
    accelerator = make_accelerator(checked.run, None)
    if accelerator.num_processes > 1:
        raise HubtlError("hubtl tune runs in one process", hint="start it without a launcher")
    if output_dir:
        check_writable(Path(output_dir))
    prepared = _prepared(checked)
    objective = _objective(prepared, validator, oracle)
    axes = written(ranges, prepared.recipe) if ranges else derived(prepared.recipe)
    folder = Path(output_dir) if output_dir else default_output_dir(prepared.recipe)
    folder = folder if output_dir else folder.with_name(folder.name + "-tune")
    data = [facts.fingerprint for facts in (prepared.source, prepared.target) if facts is not None]
    data += [prepared.told] if prepared.told else []
    with at_work(folder), opened(folder, prepared.recipe, axes, objective.name, data) as study:
        logger.info("objective  %s%s", objective.name, " (ORACLE: reads target labels)" if objective.oracle else "")
        for axis in axes:
            logger.info("search     %s", axis)
        prepared = with_features(prepared, accelerator)
        found = finished(study)
        while len(found) < trials:
            _trial(study, len(found), axes, prepared, accelerator, objective, shown=shown)
            found = finished(study)
            _write(folder, found, objective, prepared.recipe, axes)
            logger.info(
                "trial %-4d %s", len(found) - 1, describe(next(t for t in found if t["order"] == len(found) - 1))
            )
        _write(folder, found, objective, prepared.recipe, axes)
    return Tuning(folder, objective.name, objective.oracle, found)


@dataclass(frozen=True)
class Objective:
    """Hold a trained model's score. It says whether anything on the way reads target labels.

    Higher is better.
    """

    name: str
    oracle: bool
    reads: frozenset[str]
    of: Callable[[Any], float] | None  # of the evidence; None: of held-out rows


def _objective(prepared: Prepared, asked: str | None, allowed: bool) -> Objective:
    rule_name = prepared.recipe.run.validator or "last"
    selecting = rule_of(rule_name)
    name = asked
    if name is None and prepared.setting not in NO_TARGET_LABELS:
        name = HELD_OUT
    if name is None:  # a rule that compares checkpoints of one run, or that counts updates, says nothing across runs
        comparable = selecting.comparable and LABELS not in selecting.reads
        name = rule_name if comparable else prepared.task.voters[0]
    if name == HELD_OUT:
        if prepared.streams.held_out is None:
            raise HubtlError("held-out needs a target whose labels are learnt from", hint="--validator infomax")
        return Objective(name, LABELS in selecting.reads and _permitted(rule_name, allowed), frozenset(), None)
    known = plugins.entries("validators")
    if name not in known or not rule_of(name).comparable:
        scores = ", ".join(n for n in known if n not in ("last", "ensemble", "ensv"))
        raise HubtlError(f"validator {name!r} gives no score that runs can be compared by", hint=f"one of: {scores}")
    rule = rule_of(name)
    if not prepared.task.probabilities and "probabilities" in rule.needs:
        raise HubtlError(
            f"validator {name} needs probabilities that sum to one, and {prepared.task.name} {prepared.task.no_probabilities}",
            hint=f"--validator {prepared.task.voters[0]}",
        )
    for each, label in ((rule, name), (selecting, rule_name)):
        if LABELS in each.reads:
            _permitted(label, allowed)
    if prepared.streams.source_eval is None and any(field.startswith("source_") for field in rule.reads):
        raise HubtlError(f"validator {name} reads a source, and there is none to read", hint="--validator infomax")
    return Objective(name, LABELS in rule.reads | selecting.reads, rule.reads, partial(score_of, rule))


def _permitted(name: str, allowed: bool) -> bool:
    if not allowed:
        raise HubtlError(
            f"{name} reads target labels: its result is not available without them",
            hint="--validator infomax, or --oracle to allow it",
        )
    return True


def _mapping(value: Any) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise HubtlError(f"tune holds {value!r}, not ranges by key", hint="tune: {optim.lr: '1e-4:1e-1:log'}")
    return value or {}


def _prepared(recipe: Recipe) -> Prepared:
    """Open the data and load the model, once for all trials."""
    if len(models_of(recipe.model.name)) > 1:
        raise HubtlError("hubtl tune searches for one model's options", hint="one --model; adapt averages several")
    prepared = prepare(recipe)
    if prepared.setting in NO_TARGET_LABELS or prepared.streams.held_out is not None:
        return prepared
    raw = recipe.model_dump(exclude_unset=True)
    return prepare(parse(merge(raw, {"data.hold_out": HOLD_OUT})))


def _trial(
    study: Any,
    order: int,
    axes: Sequence[Axis],
    prepared: Prepared,
    accelerator: Accelerator,
    objective: Objective,
    *,
    shown: bool,
) -> None:
    """Run one trial; its values depend only on the seed, its position and earlier trials."""
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    study.sampler = TPESampler(seed=prepared.recipe.run.seed + 7919 * order)
    trial = study.ask()
    tried = {axis.key: axis.suggest(trial) for axis in axes}
    recipe = parse(merge(prepared.recipe.model_dump(exclude_unset=True), tried))
    began = time.monotonic()
    try:
        score, guard = _score(
            replace(prepared, recipe=recipe), accelerator, objective, shown=shown, title=f"trial {order}"
        )
    except HubtlError as error:
        if "not finite" not in str(error):
            raise
        score, guard = None, {}
    if score is None or not math.isfinite(score):
        trial.set_user_attr("diverged", True)
        study.tell(trial, state=TrialState.PRUNED)
        return
    trial.set_user_attr("score", score)
    trial.set_user_attr("guard", guard)
    trial.set_user_attr("seconds", round(time.monotonic() - began, 3))
    known = [t.user_attrs["guard"] for t in study.get_trials() if "guard" in t.user_attrs]
    refused = refusal(guard, best_on_source([*known, guard]))
    study.tell(trial, score if refused is None else score - BELOW)


def _score(
    prepared: Prepared, accelerator: Accelerator, objective: Objective, *, shown: bool, title: str
) -> tuple[float, dict[str, float]]:
    """Train as ``hubtl adapt`` would, without baseline, card and files; score the result."""
    recipe = prepared.recipe
    strategy = prepared.build(recipe.strategy.name)
    judge = Judge(prepared, accelerator, recipe.run.validator or "last")
    watch = Watch(prepared, accelerator)
    decays = recipe.optim.weight_decay > 0
    engine = Engine(
        accelerator,
        recipe.optim,
        recipe.run,
        title=title,
        shown=shown,
        judge=judge,
        num_workers=recipe.data.num_workers,
        controller=Controller(watch, decays=decays, words=prepared.task.collapsed_words) if recipe.run.adjust else None,
    )
    torch.manual_seed(recipe.run.seed + TRAINING)
    trace = engine.train(strategy, prepared.streams.train)
    judge.restore(strategy)
    model = strategy.deployed()
    evidence = gather(prepared, accelerator, model, trace.steps, objective.reads)
    guard: dict[str, float] = {}
    if prepared.setting in NO_TARGET_LABELS:
        guard["collapsed"] = float(fallen(evidence, prepared) is not None)
        watched = prepared.task.guard
        scores = label_free(evidence, [watched])
        guard |= {watched: scores[watched]} if watched in scores else {}
    if objective.of is not None:
        return objective.of(evidence), guard
    assert prepared.streams.held_out is not None
    loss, _ = watch.losses(model, prepared.streams.held_out)
    return -loss, guard


def _write(
    folder: Path, trials: list[dict[str, Any]], objective: Objective, recipe: Recipe, axes: Sequence[Axis]
) -> None:
    """Write ``tune.json`` and the best ``recipe.yaml``, each atomically."""
    tuning = Tuning(folder, objective.name, objective.oracle, trials)
    facts = {**tuning.summary(), "seed": recipe.run.seed, "space": [axis.facts() for axis in axes]}
    del facts["output_dir"]
    written = {"tune.json": jsontext.text(facts, indent=2) + "\n"}
    if tuning.best is not None:
        written["recipe.yaml"] = best_recipe(recipe, tuning).to_yaml()
    for name, text in written.items():
        files.write(folder / name, text)


def best_recipe(recipe: Recipe, tuning: Tuning) -> Recipe:
    """Return the best trial's recipe for ``hubtl adapt``. It trains on all training rows."""
    assert tuning.best is not None
    changes = {**tuning.best["parameters"], "run.output_dir": None}
    if recipe.data.hold_out == HOLD_OUT and not recipe.run.adjust:
        changes["data.hold_out"] = None
    return parse(merge(recipe.model_dump(exclude_unset=True), changes))


def describe(trial: Mapping[str, Any]) -> str:
    """Describe a trial in a line."""
    score = "no score" if trial["score"] is None else f"{trial['score']:.4f}"
    refused = f" ({trial['refused']})" if trial["refused"] else ""
    return f"{score}{refused}  " + "  ".join(f"{key} {value:.4g}" for key, value in trial["parameters"].items())
