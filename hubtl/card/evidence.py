"""Derive warnings from the record: alarms beside the headline, limits at the end, with figures."""

from typing import Any

from hubtl import plugins
from hubtl.card.metrics import amount, called
from hubtl.card.names import domain_link, weights_link
from hubtl.card.wording import interval, md, plural, row_of
from hubtl.errors import HubtlError
from hubtl.record import DomainFacts, Evaluation, RunRecord

SMALL_TARGET = 200  # evaluation rows: the 95 % interval of a share is up to 14 points wide


def alarms(record: RunRecord) -> list[str]:
    """Return what a reader must know before the figures, most important first. Markdown."""
    found = []
    if record.status != "finished":
        found.append(f"**This run did not finish (it is {record.status}):** its figures are not final.")
    if record.selection.oracle:
        found.append(
            f"**ORACLE SELECTION: target labels chose this checkpoint** (rule {md(record.selection.rule)}). "
            "Where labels are missing this choice cannot be made, so the adapted figures are an upper bound."
        )
    elif record.target_labels == "selection":
        found.append("**TARGET LABELS WERE USED to select this checkpoint:** the adapted figures are an upper bound.")
    if record.target_labels == "few":
        found.append(
            f"**THE LABELS OF {few(record, 'target row').upper()} WERE USED for training**, source-only included: "
            "this is semi-supervised adaptation."
        )
    if record.target_labels == "training":
        tail = (
            ": this is transfer learning, not unsupervised adaptation."
            if record.setting in ("transfer", "sequential")
            else "."
        )
        found.append(f"**TARGET LABELS WERE USED for training**{tail}")
    worse = _loss(record)
    if worse and not any("negative transfer" in warning for warning in record.warnings):
        found.append(f"**negative transfer:** the adapted model is {worse} worse than source-only.")
    return found + [_warning(text) for text in record.warnings]


def few(record: RunRecord, row: str = "row") -> str:
    """Describe how many labels were learnt from, if few: ``5 rows of each class``, ``12 rows``."""
    if record.target_told and not record.target_few:
        return plural(len(record.target_told), row)
    figures = next((e.figures for e in (record.adapted, record.source_only) if e and e.figures), None)
    try:
        group = figures.group if figures else plugins.load("tasks", record.task).Figures.group
    except HubtlError:  # its package is not installed
        group = "output"
    return f"{plural(record.target_few or 0, row)} of each {group}"


def limits(record: RunRecord, task: Any) -> list[str]:
    """Return the limits of the evidence, and of the task's models. Markdown.

    Args:
        record: the record of the run.
        task: the task, or None.
    """
    target, adapted, model = record.target, record.adapted, record.model
    found = []
    if adapted is None:
        found.append(f"It was not evaluated: its quality on {domain_link(target)} is unknown.")
    elif adapted.value is None:
        found.append(
            f"The target's evaluation rows have no labels: the quality of this model on {domain_link(target)} is unknown."
        )
    else:
        if adapted.n < SMALL_TARGET:
            found.append(f"It was evaluated on {plural(adapted.n, 'row')} only: see the intervals beside the figures.")
        if record.difference is not None:
            if record.difference.low <= 0 <= record.difference.high:
                found.append(
                    f"The 95% interval of the difference in {_called(adapted)} contains 0: "
                    f"on {plural(adapted.n, 'row')} the difference may be chance."
                )
        elif _overlap(record):
            found.append(
                f"The 95% intervals of the source-only and the adapted {_called(adapted)} overlap: "
                f"on {plural(adapted.n, 'row')} the difference may be chance."
            )
        found += task.doubts(record) if task else []
        seeds = "the spread over seeds stands beside them" if record.repeats else "this is one run"
        seeds += "" if record.repeats or _several(record) else " with one seed"
        found.append(f"The intervals cover the choice of evaluation rows, not of seeds: {seeds}.")
    if not model.pretrained:
        found.append("The backbone started from random weights, not from pretrained ones (`pretrained: false`).")
    elif model.license is None or model.license.strip().lower() in ("", "unknown", "none"):
        loaded = {modality: part for modality, part in model.parts.items() if part.get("pretrained", True)}
        of = weights_link(model.model_copy(update={"parts": loaded}) if loaded else model)
        found.append(f"The licence of the base weights {of} is unknown: check it before you use this model.")
    noun, does = row_of(model.modalities)
    for domain in _domains(record):
        if domain.license is None:
            found.append(f"The licence of {domain_link(domain)} is unknown.")
        if domain.skipped:
            found.append(
                f"{plural(len(domain.skipped), noun)} of {domain_link(domain)} could not be read and were left out."
            )
    return found + (task.limits(record, does) if task else [])


def _several(record: RunRecord) -> bool:
    """Return whether models of several seeds were averaged."""
    return record.ensemble is not None and len({member.seed for member in record.ensemble.members}) > 1


def _loss(record: RunRecord) -> str | None:
    """Describe how much worse the adapted model is on the target. It is empty where it is not worse."""
    base, adapted = record.source_only, record.adapted
    if base is None or adapted is None or base.primary is None or adapted.primary is None:
        return None
    gain = base.primary.gain(adapted.primary)
    return amount(base.primary, -gain) if gain is not None and gain < 0 else None


def learnt_more(record: RunRecord) -> bool:
    """Return whether the adapted model beats source-only on the source. The primary metric decides."""
    base, adapted = record.source_only, record.adapted
    metric = (adapted.primary if adapted else None) or (base.primary if base else None)
    if base is None or adapted is None or metric is None or base.source is None or adapted.source is None:
        return False
    return (adapted.source > base.source) == metric.higher_is_better and adapted.source != base.source


def _overlap(record: RunRecord) -> bool:
    base, adapted = record.source_only, record.adapted
    if base is None or adapted is None or (record.verdict and record.verdict.tried):  # one model, named twice
        return False
    one, other = interval(base), interval(adapted)
    return bool(one and other and one[0] <= other[1] and other[0] <= one[1])


def _called(evaluation: Evaluation) -> str:
    return called(evaluation.primary)


def _warning(text: str) -> str:
    head, colon, rest = text.partition(": ")
    return f"**{md(head)}:** {md(rest)}" if colon and len(head) < 30 else f"**warning:** {md(text)}"


def _domains(record: RunRecord) -> list[DomainFacts]:
    return [record.target] if record.source is None else [record.source, record.target]
