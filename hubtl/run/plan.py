"""Plan a run: its phases in numbers, and its record before training."""

import copy
import datetime
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn

from hubtl import plugins
from hubtl.backbones.base import Backbone
from hubtl.card.wording import many, taken
from hubtl.data.slices import cut_off
from hubtl.engine.contract import deployed_by, phases_of
from hubtl.engine.length import phase_steps
from hubtl.engine.modes import learning_groups
from hubtl.engine.optimise import group_lrs, make_optimizer
from hubtl.errors import HubtlError
from hubtl.io import shown
from hubtl.judging.validators import LABELS, rule_of
from hubtl.modules import fold
from hubtl.recipe.reading import made
from hubtl.record import ModelFacts, PhaseFacts, RunRecord, Selection, Training
from hubtl.run.members import averages, models_of
from hubtl.run.participants import participants
from hubtl.run.prepare import Prepared
from hubtl.run.streams import NO_TARGET_LABELS
from hubtl.strategy import Strategy

PACKAGES = (
    "hubtl",
    "torch",
    "timm",
    "transformers",
    "datasets",
    "accelerate",
    "huggingface_hub",
    "scikit-learn",
    "numpy",
)


def plan_phases(prepared: Prepared, name: str) -> list[PhaseFacts]:
    """Return the phases of a strategy: groups, parameters, rates and updates."""
    strategy = prepared.build(name)
    _check_deployable(strategy)
    tunable = {p for p in strategy.parameters() if p.requires_grad}
    optim, found = prepared.recipe.optim, []
    rates = strategy.encoder.backbone.rates() if isinstance(strategy.encoder.backbone, Backbone) else {}
    for phase in phases_of(strategy):
        groups = learning_groups(phase.learns, tunable)
        if phase.learns:  # or an optimiser that does not start would be met after the first files are written
            make_optimizer(groups, optim, phase.lr, rates=rates)
        learns, lrs = _rates(groups, group_lrs(groups, optim, phase.lr), optim.lr or 0.0, phase.lr, rates)
        found.append(
            PhaseFacts(
                name=phase.name,
                sees=list(phase.sees),
                learns=learns,
                steps=phase_steps(phase, prepared.recipe.run, prepared.epoch_steps(phase.sees)),
                lr=lrs,
            )
        )
    return found


def _rates(
    groups: Mapping[str, list[nn.Parameter]],
    lrs: Mapping[str, float],
    base: float,
    factors: Mapping[str, float],
    own: Mapping[nn.Parameter, float],
) -> tuple[dict[str, int], dict[str, float]]:
    """Return the parameters and learning rate of each group.

    A group with several rates is split and named by their factors.
    """
    learns: dict[str, int] = {}
    found: dict[str, float] = {}
    for name, ps in groups.items():
        parts: dict[float | None, int] = {}
        for p in ps:
            parts[own.get(p)] = parts.get(own.get(p), 0) + p.numel()
        for rate, number in (parts or {None: 0}).items():
            label = name if len(parts) < 2 or rate is None else f"{name} ×{rate:g}"
            learns[label] = number
            if ps:
                found[label] = lrs[name] if rate is None else base * factors.get(name, 1.0) * rate
    return learns, found


def _check_deployable(strategy: Strategy) -> None:
    """Raise HubtlError for a model that could not be saved after training."""
    deployed = deployed_by(strategy)
    try:
        fold(copy.deepcopy(deployed.encoder.bottleneck), deployed.head)
    except (AttributeError, TypeError) as error:
        raise HubtlError(
            f"what {type(strategy).__name__} deploys cannot ship inside a plain classifier: {error}",
            hint="deploy an encoder, an affine bottleneck and a linear head: docs/plugins.md",
        ) from error


def facts(prepared: Prepared, command: str) -> RunRecord:
    """Return the record before training."""
    recipe = prepared.recipe
    name = recipe.strategy.name
    cls = prepared.strategy_class
    entry = plugins.find("strategies", name)
    validator = recipe.run.validator or "last"
    rule = rule_of(validator)
    few = recipe.target.few
    labels = "training" if prepared.setting not in NO_TARGET_LABELS else "selection" if LABELS in rule.reads else "none"
    labels = "few" if (few or prepared.told) and labels != "training" else labels
    return RunRecord(
        created=datetime.date.today().isoformat(),
        command=command,
        recipe=recipe.model_dump(mode="json", exclude_none=True),
        decisions=prepared.decisions,
        setting=prepared.setting,
        task=recipe.task.name,
        strategy=name,
        strategy_reason=prepared.reason,
        strategy_title=(cls.__doc__ or "").strip().split("\n")[0],
        strategy_options=made(cls.Options, name, recipe.strategy.options, "strategy.").model_dump(mode="json"),
        strategy_package=entry.package,
        strategy_version=entry.version,
        plugins=participants(recipe, prepared.task, prepared.backbone),
        paper=cls.paper,
        model=prepared.model,
        source=prepared.source,
        target=prepared.target,
        outputs=prepared.task.outputs,
        label_sets=prepared.relation,
        unknown=None if prepared.task.unknown is None else prepared.task.outputs.names[prepared.task.unknown],
        training=Training(phases=plan_phases(prepared, name)),
        selection=Selection(rule=validator, oracle=LABELS in rule.reads),
        target_labels=labels,
        target_few=None if prepared.told else few,
        target_told=prepared.learnt,
        target_told_mark=prepared.told,
        warnings=list(prepared.warnings),
        native=type(prepared.backbone).native,
        not_native_because=None
        if type(prepared.backbone).native
        else type(prepared.backbone).not_native_because
        or f"neither timm nor transformers has the architecture {prepared.model.architecture}",
        versions=installed_versions(),
        hardware=hardware(),
    )


def keep_source_only(record: RunRecord, prepared: Prepared) -> None:
    """Turn the record into that of the shipped source-only model.

    The adapted model and its figures move to the verdict.
    """
    trained = prepared.setting != "source-free"  # else it is the model as it came
    name_source_only(record, plan_phases(prepared, "source-only") if trained else [])


def name_source_only(record: RunRecord, phases: list[PhaseFacts]) -> None:
    """Turn a finished run's record into that of its source-only model.

    ``phases`` are those of source-only, as far as they are known.
    """
    assert record.verdict is not None
    record.verdict.tried, record.verdict.dropped = record.strategy, record.adapted
    record.adapted, record.selection = record.source_only, Selection(rule="last")
    if record.setting == "source-free":
        record.strategy, record.strategy_title = "source-only", "The model as it was, not adapted."
        record.strategy_options, record.paper, record.training = {}, None, Training()
        return
    cls = plugins.load("strategies", "source-only")
    record.strategy, record.strategy_title = "source-only", (cls.__doc__ or "").strip().split("\n")[0]
    record.strategy_options, record.paper = {}, None
    known = record.baseline_training or Training()
    record.training = known.model_copy(update={"phases": phases})
    record.baseline_training = None
    record.difference = None


def describe(record: RunRecord) -> str:
    """Describe the plan in lines for a person."""
    model, recipe = record.model, record.recipe
    task = plugins.load("tasks", record.task)
    sets = task.sets_called(record.label_sets) if record.source else ""
    lines = [
        f"setting    {record.setting}" + f", {sets}" * bool(sets),
        f"strategy   {record.strategy}" + (f" (auto: {record.strategy_reason})" if record.strategy_reason else ""),
        *_described(model),
        *(f"           {note}" for note in model.notes),
        f"tuner      {model.tuner}: {model.trained_parameters:,} of the backbone's parameters learn",
    ]
    for role, domain in (("source", record.source), ("target", record.target)):
        if domain is None:
            continue
        columns = ", ".join(f"{what} ← {column!r}" for what, column in domain.columns.items())
        name = shown.line(domain.dataset) + (f" [{shown.line(domain.domain)}]" if domain.domain else "")
        held = domain.eval_split == cut_off(domain.split)
        evaluated = f"{domain.split} held out" if held else domain.eval_split
        lines.append(
            f"{role:<10} {name}: {shown.plural(domain.rows, 'row')} of {domain.split}, {domain.eval_rows:,} of {evaluated} "
            f"to evaluate; {columns}"
        )
        if role == "target" and record.target_told and not record.target_few:
            lines.append(
                f"           learnt from: {shown.plural(len(record.target_told), 'row')} with labels of a file"
            )
        if role == "target" and record.target_few:
            group = task.Figures.group
            lines.append(f"           learnt from: {shown.plural(record.target_few, 'labelled row')} of each {group}")
        if domain.unlabelled_rows or domain.eval_unlabelled_rows:
            lines.append(
                f"           without a label: {shown.plural(domain.unlabelled_rows, 'training row')}, "
                f"{shown.plural(domain.eval_unlabelled_rows, 'evaluation row')}"
            )
        lines += [
            f"           skipped {len(domain.skipped)} unreadable: {', '.join(map(shown.line, domain.skipped[:3]))}"
        ] * bool(domain.skipped)
    lines.append(
        f"{outputs_called(record.task):<10} {len(record.outputs.names)}: "
        f"{', '.join(map(shown.line, record.outputs.names[:12]))}" + ", …" * (len(record.outputs.names) > 12)
    )
    run = recipe["run"]
    for number, phase in enumerate(record.training.phases, 1):
        learns = ", ".join(f"{name} {n:,} (lr {phase.lr.get(name, 0):g})" for name, n in phase.learns.items() if n)
        sees = " + ".join(phase.sees)
        rows = f"of {run['batch_size']} × {run['gradient_accumulation_steps']} rows of {sees}"
        if learns:
            what = f"update{'s' * (phase.steps != 1)} {rows}; learns {learns}"
        else:  # one step alone is one look at whole streams
            what = f"steps {rows}" if phase.steps != 1 else f"step on all of {sees}"
            what += "; nothing learns by gradient, what changes is computed from the rows"
        lines.append(f"phase {number}    {phase.name}: {phase.steps:,} {what}")
    if several := _several(record):
        lines.append(several)
    rule = f"{record.selection.rule}" + (" (ORACLE: reads target labels)" if record.selection.oracle else "")
    optim = recipe["optim"]
    averaged = f", weights averaged with width {optim['averaging']:g}" if optim.get("averaging") else ""
    lines.append(f"optimiser  {optim['name']}, {optim['schedule']} schedule{averaged}; selection: {rule}")
    return "\n".join(lines)


def _several(record: RunRecord) -> str:
    """Describe several trained models, or source-only's share in them; else empty."""
    ensemble, given = (record.recipe.get(part, {}) for part in ("ensemble", "auto"))
    hedge = 1.0 if given.get("hedge") is None else given["hedge"]
    names, seeds = ensemble.get("members") or [record.strategy], ensemble.get("seeds") or []
    models = models_of(record.recipe.get("model", {}).get("name", record.model.name))
    if not averages(ensemble.get("members") or [], seeds, models, hedge):
        listed = ", ".join(map(str, seeds))
        return f"seeds      {listed}: each is trained and reported, the first is saved" if len(seeds) > 1 else ""
    parts = [", ".join(names)] if len(names) > 1 or hedge < 1 else []
    parts += [f"seeds {', '.join(map(str, seeds))}"] if len(seeds) > 1 else []
    parts += [f"backbones {', '.join(models)}"] if len(models) > 1 else []
    parts += [f"{100 * hedge:.0f}% beside source-only"] if hedge < 1 else []
    return f"average    {'; '.join(parts)}"


def outputs_called(task: str, number: int = 0) -> str:
    """Return ``classes`` or ``outputs``; in the singular for one."""
    one: str = plugins.load("tasks", task).Figures.group
    return one if number == 1 else many(one)


def _described(model: ModelFacts) -> list[str]:
    """Describe the model, and each encoder of several modalities, in lines."""
    weights = "pretrained" if model.pretrained else "random"
    if not model.parts:
        seen = taken(model.modalities, model.input)
        if seen is None:
            size, channels = model.input.get("size"), model.input.get("channels")
            seen = f"{size}×{size} px, {shown.plural(channels, 'channel')}" if size and channels else "images"
        return [
            f"model      {model.name} [{model.library}], {weights} weights, {model.parameters:,} parameters, {seen}"
        ]
    options = model.input["options"]
    lines = [f"model      {' + '.join(model.parts)}, {options['fusion']} fusion, {model.parameters:,} parameters"]
    for modality, part in model.parts.items():
        own = "pretrained" if part["pretrained"] else "random"
        lines.append(f"  {modality:<9}{part['name']} [{part['library']}], {own} weights, learns: {part['tune']}")
    return lines


def installed_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    if torch.cuda.is_available():
        return {"device": torch.cuda.get_device_name(), "count": torch.cuda.device_count()}
    return {"device": f"CPU ({platform.machine()})", "cores": os.cpu_count(), "threads": torch.get_num_threads()}
