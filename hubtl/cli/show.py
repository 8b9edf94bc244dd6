"""Print the outcome of ``hubtl adapt``: a plan, a result, an interruption."""

import json
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from hubtl import launch
from hubtl.card import ensemble
from hubtl.card.metrics import about, called, gain, rounded
from hubtl.card.wording import unscored
from hubtl.cli.messages import emit, predicting, pushed
from hubtl.io import shown
from hubtl.plugins import modalities
from hubtl.recipe.schema import Recipe
from hubtl.record import Decision, Evaluation, RunRecord
from hubtl.run.result import Result
from hubtl.settings import is_main_process

FEW = 30  # evaluation rows: below, answers that are all alike say little


def plan(recipe: Recipe, *, as_json: bool) -> None:
    """Prepare everything, write nothing, and print the plan."""
    from hubtl.run.members import prepared_each, whole
    from hubtl.run.plan import describe, facts
    from hubtl.run.prepare import default_output_dir

    processes = launch.adopt()
    if not is_main_process():
        return
    each = prepared_each(recipe, processes=processes)
    record = facts(replace(each[0], recipe=whole(each)), "")
    folder = recipe.run.output_dir or str(default_output_dir(whole(each)))
    if as_json:
        include = {"setting", "strategy", "recipe", "decisions", "task", "outputs", "label_sets"}
        known = record.model_dump(mode="json", include=include)
        phases = [phase.model_dump(mode="json") for phase in record.training.phases]
        emit({"output_dir": folder, **known, "model": record.model.model_dump(mode="json"), "phases": phases})
        return
    typer.echo(describe(record))
    for line in _reasons(record.decisions, shutil.get_terminal_size().columns):
        typer.echo(line)
    typer.echo(f"output     {folder} (dry run: nothing is written)")


def _reasons(decisions: Sequence[Decision], width: int) -> list[str]:
    """Return each decided key with its value and reason. The columns have ``width`` characters in all."""
    rows = [(decision.key, shown.line(_value(decision.value)), shown.line(decision.because)) for decision in decisions]
    key, value = (max((len(row[i]) for row in rows), default=0) for i in (0, 1))
    lines = ["decided    what the recipe leaves open, and why"] if rows else []
    for name, what, why in rows:
        first, *more = textwrap.wrap(why, max(width - key - value - 6, 24)) or [""]
        lines.append(f"  {name:<{key}}  {what:<{value}}  {first}".rstrip())
        lines += [" " * (key + value + 6) + rest for rest in more]
    return lines


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def result(outcome: Result, *, as_json: bool) -> None:
    """Print the figures side by side, warnings, and the next commands."""
    if not is_main_process():
        return
    if as_json:
        emit(outcome.summary())
        return
    from hubtl.cli.table import Screen, Words, figure_or

    record = outcome.record
    table = Words()
    aside = unscored(record.adapted)
    rows = shown.plural(record.adapted.n if record.adapted else 0, "held-out row") + (
        f"; not scored: {aside}" if aside else ""
    )
    table.add_column(f"on the target ({rows})")
    dropped = record.verdict if record.verdict and record.verdict.tried else None
    columns = [("source-only", record.source_only), (ensemble.called(record), record.adapted)]
    if dropped:
        columns = [("source-only (kept)", record.source_only), (f"{dropped.tried} (dropped)", dropped.dropped)]
    measured = [(name, figures) for name, figures in columns if figures is not None]
    for name, _ in measured:
        table.add_column(name, justify="right")
    sides = [{m.name: m for m in e.figures.rows()} if e.figures else {} for _, e in measured]
    lower = []
    for name in dict.fromkeys(name for side in reversed(sides) for name in side):
        known = next(side[name] for side in sides if name in side)
        lower += [] if known.higher_is_better else [known.shown]
        cells = [side[name].value if name in side else None for side in sides]
        table.add_row(known.shown, *(figure_or(known, number) for number in cells))
    console = Screen()
    console.print(table)
    if lower:
        console.print(f"{', '.join(lower)}: lower is better")
    if record.selection.oracle:
        console.print("oracle selection: the checkpoint was chosen with target labels", style="bold")
    for line in (estimates(measured), bound(record)):
        if line:
            console.print(line, soft_wrap=True)
    for line in [*averages(record), *verdict(record)]:
        console.print(line, soft_wrap=True)
    for warning in record.warnings:
        console.print(f"warning: {shown.line(warning)}", soft_wrap=True)
    learnt = ensemble.updates(record)
    console.print(f"updates: {learnt}; {record.training.seconds:.0f} s in all")
    console.print(f"model and card: {outcome.output_dir}/README.md", soft_wrap=True)
    if outcome.pushed:
        typer.echo(pushed(outcome.output_dir, outcome.pushed))
    else:
        console.print(f"next: {', or '.join(going_on(record, outcome.output_dir))}", soft_wrap=True)


def going_on(record: RunRecord, folder: Path) -> list[str]:
    """Return commands to continue after a run; labels come first if they decide."""
    from hubtl.run.ship import aside

    run = shown.typed(folder)
    asked = record.verdict is not None and record.verdict.open and (folder / aside(record)).is_dir()
    words = {one.name for one in modalities.every() if one.words}
    page = "" if set(record.model.modalities) <= words else " --page"  # a picture and a recording are no words to print
    return [*([f"hubtl label {run}{page}"] if asked else []), predicting(folder), f"hubtl push {run} user/repo"]


def estimates(models: Sequence[tuple[str, Evaluation]]) -> str | None:
    """Return the estimated primary metric of each model, where there is one."""
    told = [(name, found, found.estimate) for name, found in models if found.estimate and found.estimate.tells]
    if not told:
        return None
    each = ", ".join(f"{name} {about(found.primary, estimate)}" for name, found, estimate in told)
    return f"estimated {called(told[0][1].primary)}, no label read (± its mean error): {each}"


def bound(record: RunRecord) -> str | None:
    """Return the lower bound of the adapted model's primary metric. It is there if it separates the models."""
    found = record.adapted
    if found is None or found.bound is None or not found.bound.separates:
        return None
    least, beat = (rounded(found.primary, number) for number in (found.bound.value, found.bound.beat))
    return f"bound without labels: {ensemble.called(record)} at least {least}, above source-only's estimate ({beat})"


def averages(record: RunRecord) -> list[str]:
    """Return what several models became, and the spread of several seeds."""
    found = ensemble.shipped(record)
    lines = [] if found is None else [f"averaged: {ensemble.made_of(found).replace('`', '')}"]
    return [*lines, *([] if not record.repeats else [ensemble.repeated(record).split(". ")[0]])]


def verdict(record: RunRecord) -> list[str]:
    """Return which model to use, by label-free evidence and by labels."""
    said = record.verdict
    if said is None:
        return []
    labels = record.verified if record.verified and record.verified.n else None
    lines = [f"verdict without labels: {said.answer if labels else said.brief}"]
    if labels is not None:
        lines.append(f"verified on {shown.plural(labels.n, 'labelled row')}: {labels.brief}")
    base, found, gap = record.source_only, record.adapted, record.difference
    if gap is None or base is None or found is None or base.primary is None or found.primary is None:
        return lines
    better = "adapted is better" if gap.shows(found.primary) else "source-only is better"
    if gap.low <= 0 <= gap.high:
        better = "no difference" if gap.low == gap.high and found.n >= FEW else "the difference may be chance"
    interval = gain(found.primary, gap.low, gap.high)
    return [
        *lines,
        f"measured on {shown.plural(found.n, 'labelled row')}: {better} (95% interval of the difference: {interval})",
    ]


def stopped(folder: Path | None) -> None:
    """Print how to continue an interrupted run."""
    if is_main_process():
        where = f" --output-dir {shown.typed(folder)}" if folder else ""
        typer.echo(f"stopped after a checkpoint; continue with: hubtl adapt --resume{where}", err=True)
