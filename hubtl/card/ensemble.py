"""Describe averaged models and several seeds, for a card."""

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from hubtl.card import metrics, wording
from hubtl.record import EnsembleFacts, MemberFacts, RunRecord
from hubtl.record.figures import SHARE

MADE = {
    "linear": "Their heads stand on one frozen backbone, so the average is itself one head: nothing was lost.",
    "weights": "The weights of the two were averaged, and BatchNorm's statistics estimated on the target.",
    "distilled": "One model learnt the average's outputs on target rows without labels, and a little from the source.",
}


class Line(NamedTuple):
    """Hold one of the models, as written. Markdown."""

    name: str
    source_only: str
    figure: str
    difference: str


def lines(record: RunRecord) -> list[Line]:
    """Return the models that were averaged or run side by side; empty for a single one."""
    return [_line(member, record) for member in _members(record)]


def _members(record: RunRecord) -> Sequence[MemberFacts]:
    return record.repeats or (found.members if (found := shipped(record)) else [])


def shipped(record: RunRecord) -> EnsembleFacts | None:
    """Return how the shipped model was averaged.

    None where one was trained, or where source-only was kept in its place.
    """
    return None if record.verdict is not None and record.verdict.tried else record.ensemble


def called(record: RunRecord) -> str:
    """Return the adapted model's name in a table: its strategy, or what was averaged."""
    found = shipped(record)
    if found is None or not found.members or (len(found.members) == 1 and found.hedge == 1):
        return record.strategy
    if len(found.members) == 1:
        return f"average of {record.strategy} and source-only"
    return f"average of {len(found.members)} models"


def adapted_with(record: RunRecord) -> str:
    """Return the strategy of a run, or those of the averaged models. Markdown."""
    found = shipped(record)
    if found is None or not found.members:
        return wording.code(record.strategy)
    if len(found.members) == 1 and found.hedge == 1:
        return _methods(found)
    if len(found.members) == 1:
        return f"{_methods(found)} (averaged with source-only)"
    return f"{_methods(found)} (an average of {len(found.members)} models)"


def _line(member: MemberFacts, record: RunRecord) -> Line:
    base = member.source_only or record.source_only
    primary = member.figures.primary
    before = base.primary.value if base and base.primary else None
    after = primary.value if primary else None
    several = len({each.model for each in _members(record)}) > 1
    name = f"{wording.code(member.strategy)}, seed {member.seed}" + (
        f", {wording.code(member.model)}" if several else ""
    )
    return Line(name, metrics.value(primary, before), metrics.value(primary), metrics.change(primary, before, after))


def spread(record: RunRecord) -> dict[str, tuple[float, float]]:
    """Return mean and sample standard deviation over seeds, in the primary metric.

    They are of source-only, adapted and their difference; empty without several evaluated seeds.
    """
    found: dict[str, list[float]] = {"source-only": [], "adapted": [], "difference": []}
    for member in record.repeats:
        base, own = member.source_only, member.figures.value
        if own is None:
            return {}
        found["adapted"].append(own)
        if base is not None and base.value is not None:
            found["source-only"].append(base.value)
            found["difference"].append(own - base.value)
    n = len(record.repeats)
    return {name: (statistics.mean(v), statistics.stdev(v)) for name, v in found.items() if len(v) == n > 1}


def repeated(record: RunRecord) -> str:
    """Describe the mean over the seeds with its spread, in a sentence; empty without several. Markdown."""
    found = spread(record)
    if not found:
        return ""
    primary = next((member.figures.primary for member in record.repeats), None)

    def said(name: str) -> str:
        mean, deviation = found[name]
        size = metrics.value(primary, deviation).removesuffix("%").removesuffix(f" {primary.unit}" if primary else "")
        return f"{metrics.value(primary, mean)} ± {size}"

    text = f"Mean ± standard deviation of {metrics.called(primary)} over {len(record.repeats)} seeds: adapted {said('adapted')}"
    if "source-only" in found:
        mean, deviation = found["difference"]
        change = metrics.change(primary, 0.0, mean)
        size = metrics.change(primary, 0.0, deviation).removeprefix("+")
        text += f", source-only {said('source-only')}, difference {change} ± {size}"
    return f"{text}. The model here is that of seed {record.repeats[0].seed}; none was chosen by these figures."


def made_of(found: EnsembleFacts) -> str:
    """Summarise an average: ``mcc, infomax and bnm, 2 seeds each, 70% beside source-only``. Markdown."""
    text = _methods(found)
    for what, values in (("seeds", {m.seed for m in found.members}), ("backbones", {m.model for m in found.members})):
        text += f", {len(values)} {what}" if len(values) > 1 else ""
    if found.hedge < 1:
        counts = "they count" if len(found.members) > 1 else "it counts"
        text += f"; {counts} {100 * found.hedge:.0f}% and source-only {100 - 100 * found.hedge:.0f}%"
    return text


def _methods(found: EnsembleFacts) -> str:
    *names, last = [wording.code(name) for name in dict.fromkeys(member.strategy for member in found.members)]
    return f"{', '.join(names)} and {last}" if names else last


def averaged(record: RunRecord) -> list[str]:
    """Describe how several models became one, in sentences; empty for a single one. Markdown."""
    found = shipped(record)
    if found is None or not found.members:
        return []
    many = len(found.members) > 1
    how = MADE[found.how] if found.hedge > 0 else "What counts nothing is no part: this model is source-only."
    said = [f"Averaged: {made_of(found)}. {how}"]
    if found.closeness is not None:
        said[0] += (
            f" It answers as the average on {wording.percent(found.closeness)} of {wording.plural(found.rows, 'target row')}."
        )
    if (
        found.figures is not None
        and found.figures.value is not None
        and record.adapted
        and record.adapted.value is not None
    ):
        whole, own = found.figures.primary, record.adapted.value
        cost = metrics.change(whole, found.figures.value, own) + " points" * (whole is None or whole.unit == SHARE)
        said[0] += f" The average itself: {metrics.value(whole)}; being one model changed that by {cost}."
    if many and found.agreement is not None:
        said.append(
            f"Two of the adapted models agree on {wording.percent(found.agreement)} of {wording.plural(found.rows, 'target row')}."
        )
    if found.across is not None and found.across_source_only is not None:
        by = wording.points(found.across_source_only, found.across)
        said.append(
            f"Those on different backbones agree on {wording.percent(found.across)}, the source-only models on "
            f"{wording.percent(found.across_source_only)} ({by} points): a sign of what adapting did, not a measurement."
        )
    return said


def updates(record: RunRecord) -> str:
    """Describe the updates of the model, or of several models each: ``8 each, and a student 4``."""
    members = _members(record)
    if not members:
        return wording.count(record.training.steps)
    fewest, most = (wording.count(pick(member.steps for member in members)) for pick in (min, max))
    text = fewest if fewest == most else f"{fewest} to {most}"
    text += " each" * (len(members) > 1)
    found = shipped(record)
    return text + (f", and a student {wording.count(found.steps)}" if found and found.steps else "")


def alike(record: RunRecord) -> str:
    """State that source-only had the same backbone and number of updates; empty if not."""
    base, found, members = record.baseline_training, shipped(record), _members(record)
    if record.source_only is None or base is None or len({member.model for member in members}) > 1:
        return ""
    if any(steps != base.steps for steps in ([member.steps for member in members] or [record.training.steps])):
        return ""
    who = "both" if found is None else "source-only and each of the averaged models"
    return f" Same backbone, same number of updates for {who}."


def context(record: RunRecord) -> dict[str, Any]:
    """Return the values for the template."""
    return {
        "adapted_with": adapted_with(record),
        "members": lines(record),
        "averaged": averaged(record),
        "repeated": repeated(record),
        "learnt": updates(record),
    }
