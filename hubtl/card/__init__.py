"""Render the model card, a pure function of the record; text that a person wrote around it stays."""

import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from hubtl import plugins
from hubtl.card import comparison, document, ensemble, evidence, metadata, metrics, names, snippet, wording
from hubtl.card.themes import DARK
from hubtl.card.verified import by_labels, verified
from hubtl.card.views import training_views
from hubtl.errors import HubtlError
from hubtl.record import Adjustment, Evaluation, Group, Metric, PhaseFacts, RunRecord
from hubtl.record.needs import packages

SOURCE_ONLY = metadata.SOURCE_ONLY
MANY = 20  # classes or outputs: from here on their table is folded
MOST = 400  # lines of that table: the rest is in the record
BOTH = "Features of both domains"
CAPTIONS = {
    "curves": "Losses and label-free scores during training",
    "features": f"{BOTH}; the target's colours are predictions, not labels",
}


def render(
    record: RunRecord, *, existing: str | None = None, repo: str | None = None, snippet: str | None = None
) -> str:
    """Render the README of a run: YAML metadata, and a body between two markers.

    The markers are ``hubtl:start`` and ``hubtl:end``. It reads no clock, no file but its template, and of the
    environment only the address of the Hub.

    Args:
        record: the record of the run.
        existing: the README as it is: text outside the markers stays, and metadata is merged (see ``card.document``).
        repo: the ``user/name`` that the code on the card loads; without it the folder of the card.
        snippet: replaces that code, and may leave opening ``image`` and naming the label to the card.

    Raises:
        HubtlError: if ``existing`` has broken metadata or markers.
    """
    parts = document.parse(existing or "")
    ours = metadata.of(record, repo)
    merged = document.merge(parts.memory, parts.metadata, ours)
    body = _template().render(_context(record, repo, snippet))
    return document.compose(merged, parts, body, repo=repo, ours=ours)


def written_for(readme: str) -> str | None:
    """Return the repository that a README was last rendered for.

    None: for none, or not by hubtl.
    """
    repo = document.parse(readme).memory.get("repo")
    return repo if isinstance(repo, str) else None


@cache
def _template() -> jinja2.Template:
    text = (Path(__file__).parent / "template.md.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    words = (
        "percent",
        "points",
        "score",
        "count",
        "md",
        "code",
        "listing",
        "fenced",
        "duration",
        "plural",
        "between",
        "unscored",
    )
    environment.filters.update({word: getattr(wording, word) for word in words})
    return environment.from_string(text)


def _context(record: RunRecord, repo: str | None, given: str | None) -> dict[str, Any]:
    base, adapted = record.source_only, record.adapted
    load = snippet.complete(given, record) if given else snippet.default(record, repo)
    groups = _groups(base, adapted)
    task = task_of(record)
    shown = (adapted or base or Evaluation(n=0)).figures
    adapting = record.setting in ("adaptation", "source-free") and record.strategy != SOURCE_ONLY
    primary = next((e.primary for e in (adapted, base) if e and e.primary), task.primary() if task else None)
    return {
        "r": record,
        "names": names,
        "base": base or Evaluation(n=0),
        "adapted": adapted or Evaluation(n=0),
        "adapting": adapting,
        "primary": primary,
        "metric": metrics.called(primary),
        "value": lambda number: metrics.value(primary, number),
        "change": lambda before, after: metrics.change(primary, before, after),
        "intervals": [metrics.bounds(primary, wording.interval(e)) for e in (base, adapted)],
        "known_interval": wording.interval(adapted) is not None,
        "headline": _lines(base, adapted, shown.headline() if shown else []),
        "figures": _lines(base, adapted, shown.rows() if shown else [primary] if primary else []),
        "figure_notes": task.notes(record, adapting=adapting) if task else "",
        "estimated": comparison.estimated(record),
        "bounded": comparison.bounded(record),
        "rows": _rows(record),
        "alarms": evidence.alarms(record),
        "limits": evidence.limits(record, task),
        "load": load,
        "loader": snippet.loader(record),
        "coded": snippet.needs_code(record.model.input),
        "needed": _needed(record),
        "grey": snippet.loader(record) != "hubtl" and record.model.input.get("channels") == 1,
        "domains": [(role, d) for role, d in (("source", record.source), ("target", record.target)) if d],
        "groups": groups[:MOST],
        "group": shown.group if shown else "",
        "groups_called": wording.many(shown.group) if shown else "",
        "grouped_by": groups[0].metric if groups else "",
        "outputs_called": (wording.many(task.Figures.group) if task else "outputs").capitalize(),
        "left_out": max(0, len(groups) - MOST),
        "folded": len(record.outputs.names) > MANY,
        "subsets": comparison.subsets(base, adapted),
        "gain": comparison.gain(record),
        "has_adapter": record.recipe.get("tuner", {}).get("options", {}).get("adapter", False)
        and not (record.verdict and record.verdict.tried),
        **ensemble.context(record),
        "ablation": comparison.ablation(record),
        "later": comparison.later(record),
        "streams": comparison.streams(record),
        "at_test_time": comparison.at_test_time(record),
        "shifts": comparison.shifts(base, adapted, task),
        "shift_rows": comparison.shift_rows(adapted),
        "fusion": _input(record.model.input.get("options", {})) if record.model.parts else "",
        "brief": (shown.brief() if shown else []),
        "captions": _captions(record, task),
        "predicts": task.predicts(wording.row_of(record.model.modalities)[0]) if task else "",
        "learnt_more": evidence.learnt_more(record),
        "dropped_by": _dropped_by(record),
        "labels": lambda role, domain: _labels(record, role, domain.labelled),
        "unlabelled": lambda role, *rows: _unlabelled(record, role, *rows),
        "label_use": _label_use(record),
        "updates": _updates(record),
        "selection": _selection(record),
        "verdict": _verdict(record, task),
        "verified": verified(record),
        "relation": (task.relation(record) if task else "") or "",
        "difference": lambda before, after: _difference(primary, before, after),
        "scores": _scores(base, adapted),
        "scores_said": _scores_said(base, adapted, task),
        "plots": _plots(record.plots),
        "adjustments": _adjustments(record),
        "phases": [_phase(phase) for phase in record.training.phases],
        "arxiv": _arxiv(record.paper),
        "input": wording.taken(record.model.modalities, record.model.input) or _input(record.model.input),
        "hardware": ", ".join(f"{key} {value}" for key, value in record.hardware.items()),
        "versions": ", ".join(f"{name} {number}" for name, number in record.versions.items()),
        "energy": _energy(record),
        "seed": record.recipe.get("run", {}).get("seed"),
        "averaging": record.recipe.get("optim", {}).get("averaging"),
        "training_views": training_views(record.recipe),
    }


def _needed(record: RunRecord) -> dict[str, list[Any]]:
    """Return the plugins that hubtl needs to load the model: packages by name, and files."""
    own = ("task", "backbone", "modality") if snippet.loader(record) == "hubtl" else ("task",)
    needed = [plugin for plugin in record.plugins if plugin.kind in own]
    return {"packages": packages(record.model, needed), "files": [plugin for plugin in needed if plugin.sha256]}


def _rows(record: RunRecord) -> str:
    """Describe the rows of the figures, and whether training had seen them."""
    target, n = record.target, record.adapted.n if record.adapted else record.target.eval_rows
    split = target.eval_split or target.split
    held_out = bool(target.eval_split) and target.eval_split != target.split
    where = f" (split {wording.code(split)})" if split else ""
    aside, before = (wording.unscored(figures) for figures in (record.adapted, record.source_only))
    if aside:
        where += f" (not scored: {aside})"
    if record.source_only is not None and before != aside:
        where += f" (not scored of source-only: {before or 'none'})"
    if held_out:
        return f"{wording.plural(n, 'held-out target row')}{where}"
    saw = "with their labels" if record.target_labels == "training" else "without their labels"
    return f"{wording.plural(n, 'target row')}{where} that training saw too, {saw}"


def _difference(metric: Metric | None, before: float | None, after: float | None) -> str:
    text = metrics.change(metric, before, after)
    if text == wording.NOT_MEASURED:
        return text
    return f"**{text}{' points' if metric is None or metric.unit == 'share' else ''}**"


def task_of(record: RunRecord) -> Any:
    """Return the task of a record; None where its package is not installed."""
    try:
        return plugins.load("tasks", record.task)(record.outputs)
    except HubtlError:
        return None


class Line(NamedTuple):
    """Hold a metric of two models, as written."""

    title: str
    before: str
    after: str
    difference: str


def _lines(base: Evaluation | None, adapted: Evaluation | None, wanted: list[Metric]) -> list[Line]:
    def known(evaluation: Evaluation | None) -> dict[str, Metric]:
        return {m.name: m for m in evaluation.figures.rows()} if evaluation and evaluation.figures else {}

    before, after = known(base), known(adapted)
    found = []
    for metric in wanted:
        old, new = (side[metric.name].value if metric.name in side else None for side in (before, after))
        cells = metrics.cell(metric, old), metrics.cell(metric, new)
        found.append(Line(metric.shown, *cells, metrics.change(metric, old, new)))
    return found


def _labels(record: RunRecord, role: str, labelled: bool) -> str:
    """Describe the labels of a domain that training could read."""
    if role == "source":
        return "used"
    if record.target_labels == "training":
        return "**used**" + (f", of {evidence.few(record)}" if record.target_few else "")
    if record.target_labels == "few":
        return f"**of {evidence.few(record)}**; the others sealed: training could not read them"
    return "sealed: training could not read them" if labelled else "there are none"


def _unlabelled(record: RunRecord, role: str, rows: int, evaluated: bool = False) -> str:
    """Describe how many rows of a domain have no label. It is said where others have one."""
    if not rows:
        return ""
    left_out = role == "source" or (record.target_labels == "training" and not evaluated)
    return f" ({rows:,} {'more left out' if left_out else 'of them'} without a label)"


def _label_use(record: RunRecord) -> str:
    if record.target_labels == "training":
        return "**used for training**" + (f", of {evidence.few(record)}" if record.target_few else "")
    if record.target_labels == "few":
        chosen = "; **all of them to select the checkpoint** (oracle)" if record.selection.oracle else ""
        return f"**those of {evidence.few(record)} used for training**, source-only included{chosen}"
    if record.selection.oracle or record.target_labels == "selection":
        return "**used to select the checkpoint** (oracle), not for training"
    measured = record.adapted is not None and record.adapted.value is not None
    return (
        "used for the figures on this card only; training and selection did not read them" if measured else "not used"
    )


def _updates(record: RunRecord) -> str:
    """Describe the training of the two models, and a selected checkpoint."""
    text, step = ensemble.alike(record), record.selection.step
    if not text or step is None or step >= record.training.steps:
        return text
    return (
        f"{text} The adapted model is the checkpoint after update {step:,}, and source-only its last one: part of the "
        "difference may come from that choice."
    )


def _selection(record: RunRecord) -> str:
    selection = record.selection
    where = "" if selection.step is None else f", at update {selection.step:,}"
    tried = f", the best of {len(selection.candidates):,} candidates" if selection.candidates else ""
    if selection.rule == "last":
        return f"the last one{where}; nothing was selected."
    reads = " **It reads target labels (oracle).**" if selection.oracle else " It reads no target labels."
    whose = "of each of the averaged models " if (found := ensemble.shipped(record)) and len(found.members) > 1 else ""
    return f"{whose}chosen by {wording.code(selection.rule)}{where}{tried}.{reads}"


def _captions(record: RunRecord, task: Any) -> dict[str, str]:
    """Return the caption of each plot.

    A run that kept source-only drew the features of that alone.
    """
    found = {**CAPTIONS, **(task.captions if task else {})}
    if record.verdict and record.verdict.tried:
        found["features"] = found["features"].replace(BOTH, f"{BOTH} under {record.strategy}", 1)
    return found


def _scores_said(base: Evaluation | None, adapted: Evaluation | None, task: Any) -> str:
    """Describe the scores in the table, as far as the task does."""
    said = task.scores_said if task else {}
    text = "; ".join(f"{name}: {said[name]}" for name, *_ in _scores(base, adapted) if name in said)
    return f"{text}." if text else ""


def _dropped_by(record: RunRecord) -> str:
    """Return why an adapted model was dropped, to follow "because"."""
    verdict = record.verdict
    if labels := by_labels(record):
        return labels
    if verdict is not None and verdict.rail:
        return "a guard rail that reads no target labels rejected it"
    return "scores that read no target labels did not support it"


def _verdict(record: RunRecord, task: Any) -> str | None:
    """Describe which of the two models to use, without target labels. It says where the other one is."""
    verdict = record.verdict
    if verdict is None:
        return None
    settled = record.verified is not None and record.verified.n > 0
    answer = verdict.answer if settled else verdict.brief
    text = f"Adapted or source-only, without target labels: **{answer}**. {_sentence(verdict.reason)}"
    if verdict.gap is not None:
        text += f" The two models' answers to the target rows that were tried differ by {wording.md(verdict.gap)} on average."
    elif verdict.disagreement is not None and (
        task is None or task.probabilities
    ):  # two numbers always differ a little
        of = "places of the target rows" if task is not None and task.dense else "target rows"
        text += f" The two models answer differently on {100 * verdict.disagreement:.0f}% of the {of} that were tried."
    if verdict.tried is None:
        return text
    primary = verdict.dropped.primary if verdict.dropped else None
    figure, name = metrics.value(primary), wording.code(verdict.tried)
    called = metrics.called(primary)
    why = f"Then {by_labels(record)}:" if by_labels(record) else "So"
    return f"{text} {why} {name} was dropped; its {called} on the same rows, which that choice did not see: {figure}."


def _sentence(text: str) -> str:
    """Return the text as a sentence. Markdown."""
    return f"{wording.md(text[:1].upper() + text[1:])}." if text else ""


class GroupLine(NamedTuple):
    """Hold one output, or group of rows, under two models."""

    name: str
    n: int
    metric: str
    before: str
    after: str
    difference: str
    change: float


def _groups(base: Evaluation | None, adapted: Evaluation | None) -> list[GroupLine]:
    """Return each class or output, the worst change first, without figures last."""
    before = {g.name: g for g in base.figures.groups()} if base and base.figures else {}
    after = adapted.figures.groups() if adapted and adapted.figures else []
    return sorted((_group_line(before.get(g.name), g) for g in after if g.metrics), key=lambda line: line.change)


def _group_line(before: Group | None, after: Group) -> GroupLine:
    new = after.metrics[0]
    old = before.metrics[0].value if before and before.metrics else None
    sign = 1 if new.higher_is_better else -1
    change = math.inf if new.value is None else sign * (new.value - (old or 0.0))
    text = metrics.change(new, old, new.value)
    worse = old is not None and new.value is not None and sign * (new.value - old) < 0
    cells = metrics.cell(new, old), metrics.cell(new, new.value)
    return GroupLine(after.name, after.n, new.shown, *cells, f"**{text} ▼**" if worse else text, change)


def _scores(base: Evaluation | None, adapted: Evaluation | None) -> list[tuple[str, float | None, float | None]]:
    before, after = (e.scores if e else {} for e in (base, adapted))
    return [(name, before.get(name), after.get(name)) for name in sorted({*before, *after})]


def _plots(files: list[str]) -> dict[str, tuple[str, str | None]]:
    """Return each plot's file by content, and its twin for dark pages."""
    known = {name for file in files if names.is_file_name(name := Path(file).name) and name.endswith(".png")}
    light = [Path(file).name for file in files if not file.endswith(f"{DARK.suffix}.png")]
    dark = {name: f"{name.removesuffix('.png')}{DARK.suffix}.png" for name in light}
    return {
        name.removesuffix(".png"): (name, dark[name] if dark[name] in known else None)
        for name in light
        if name in known
    }


def _phase(phase: PhaseFacts) -> str:
    learns = ", ".join(
        f"{wording.md(name)} {number:,}" + (f" at {phase.lr[name]:g}" if name in phase.lr else "")
        for name, number in phase.learns.items()
        if number
    )
    sees = " and ".join(wording.md(stream) for stream in phase.sees)
    steps = wording.plural(phase.steps, "update" if learns else "step")
    return f"{wording.md(phase.name)}: {steps}; sees {sees}; learns {learns or 'nothing by gradient'}"


def _energy(record: RunRecord) -> str | None:
    """Describe the energy, and the part that a sensor measured."""
    used = record.energy
    if used is None:
        return None
    parts = [
        f"{name} {wording.energy(kwh)}{', estimated' if name in used.estimated else ''}"
        for name, kwh in used.parts.items()
        if kwh > 0
    ]
    since = " since it was last resumed" if used.partial else ""
    return (
        f"{wording.energy(used.kwh)} of the whole machine{since} ({'; '.join(parts)}), by {wording.md(used.meter)}; "
        "training, source-only and evaluation together."
    )


def _adjustments(record: RunRecord) -> list[tuple[str, Adjustment]]:
    """Return the run's adjustments, the baseline's first."""
    baseline = record.baseline_training.adjustments if record.baseline_training else []
    return [("source-only, ", found) for found in baseline] + [("", found) for found in record.training.adjustments]


def _arxiv(paper: str | None) -> str | None:
    number = (paper or "").removeprefix("arXiv:").strip()
    return number if names.is_arxiv(number) else None


def _input(spec: dict[str, Any]) -> str:
    """Write ``{"size": 28, "channels": 1, …}`` in a line."""
    if not spec:
        return wording.NOT_MEASURED
    shown = {key: value for key, value in spec.items() if value is not None}
    return ", ".join(f"{key.replace('_', ' ')} {_number(value)}" for key, value in shown.items())


def _number(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(_number(item) for item in value) + ")"
    return f"{value:g}" if isinstance(value, float) else wording.md(value)
