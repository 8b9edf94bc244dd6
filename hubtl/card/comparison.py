"""Compare models for a card: source-only and adapted, subsets of modalities, other data, test time."""

from typing import Any, NamedTuple

from hubtl.card import metrics, names, wording
from hubtl.record import Evaluation, LaterEvaluation, RunRecord

PRIORS = "total variation of source labels and target predictions (0 to 1)"
SHIFTS = (
    ("proxy A-distance of the features (0: not separable, 2: fully separable)", "a_distance"),
    ("squared MMD of the features", "mmd"),
    (PRIORS, "class_prior"),
)


def gain(record: RunRecord) -> str:
    """Return the interval of the difference; empty where there is none."""
    found = record.difference
    return (
        "" if found is None else metrics.gain(record.adapted.primary if record.adapted else None, found.low, found.high)
    )


def shifts(
    base: Evaluation | None, adapted: Evaluation | None, task: Any = None
) -> list[tuple[str, float | None, float | None]]:
    before, after = (e.shift if e else None for e in (base, adapted))
    if after is None:
        return []
    found = [(title, getattr(before, field, None), getattr(after, field)) for title, field in SHIFTS]
    whose = "" if task is None else f"{wording.many(task.Figures.group)}: "
    said = [(f"{whose}{title}" if title == PRIORS else title, *values) for title, *values in found]
    return [line for line in said if not line[0].endswith(PRIORS) or line[1:] != (None, None)]  # not of every task


def shift_rows(adapted: Evaluation | None) -> str:
    if adapted is None or adapted.shift is None or len(adapted.shift.rows) != 2:
        return ""
    source, target = (wording.plural(n, "row") for n in adapted.shift.rows)
    return f"On {source} of the source and {target} of the target."


def subsets(base: Evaluation | None, adapted: Evaluation | None) -> list[tuple[str, float | None, float | None]]:
    """Return the primary metric on incomplete and corrupted rows, by name."""
    before = {subset.name: subset.primary for subset in base.subsets} if base else {}
    found = adapted.subsets if adapted else []
    return [(s.name, before.get(s.name), s.primary) for s in found if s.primary is not None]


class Line(NamedTuple):
    """Hold a model on labelled rows that came after the run."""

    data: str  # Markdown
    how: str  # Markdown
    figures: Evaluation
    cells: tuple[str, ...]  # the primary metric, its interval, and what stands beside it in narrow tables


def later(record: RunRecord) -> list[Line]:
    """Return the evaluations after the run. The frozen model comes before one that learns on the rows."""
    still: dict[str, list[Line]] = {}
    for evaluation in record.evaluations:
        data, online = _rows(evaluation), evaluation.online
        lines = still.setdefault(data, [])
        frozen = _line(data, "as it is", evaluation.figures)
        if not any(
            line.how == frozen.how and line.figures.n == frozen.figures.n and line.cells == frozen.cells
            for line in lines
        ):
            lines.insert(sum(line.how == frozen.how for line in lines), frozen)
        if online is not None:
            lines.append(_line(data, f"{wording.code(online.method)}, online", online.figures))
    return [line for lines in still.values() for line in lines]


def estimated(record: RunRecord) -> str:
    """Describe the estimated primary metric of each model, with its error."""
    alone = record.strategy == "source-only"
    models = (("source-only", None if alone else record.source_only), (record.strategy, record.adapted))
    told = [(name, e, e.estimate) for name, e in models if e is not None and e.estimate and e.estimate.tells]
    if not told:
        return ""
    each = ", ".join(f"{wording.code(name)} {metrics.about(e.primary, estimate)}" for name, e, estimate in told)
    error, reach = (100 * number for number in (told[-1][2].error, told[-1][2].reach))
    few = "on so few rows, and in benchmarks, such" if told[-1][2].widened else "in benchmarks such"
    return (
        f"**Estimate**, by {wording.md(told[-1][2].method)}, of {metrics.called(told[-1][1].primary)} on the same rows "
        f"without their labels: {each}. It is no measurement and decided nothing: {few} "
        f"estimates are {error:.0f} points off on average, and nine in ten by less than {reach:.0f}."
    )


def bounded(record: RunRecord) -> str:
    """Describe the lower bound of the adapted model, beside source-only's estimate."""
    found = record.adapted
    if found is None or found.bound is None:
        return ""
    bound, name, metric = found.bound, wording.code(record.strategy), found.primary
    least, beat = (metrics.rounded(metric, number) for number in (bound.value, bound.beat))
    says = "above" if bound.separates else "not above"
    so = "adapting helped" if bound.separates else "it decides nothing"
    return (
        f"**Bound**, by {wording.md(bound.method)}: {metrics.called(metric)} of {name} on the target is at least {least}, "
        f"{says} the estimate of source-only, {beat}: {so}. It holds in {100 * bound.level:.0f}% of cases where the truth "
        f"contradicts {name} no more than the worst critic that was found."
    )


def _line(data: str, how: str, figures: Evaluation) -> Line:
    """Return a line; values are compared as shown, because sums differ in their last bits."""
    own = [] if figures.figures is None else figures.figures.brief()
    value = metrics.value(figures.primary)
    if figures.value is None and figures.estimate and figures.estimate.tells:
        value = f"{metrics.about(figures.primary, figures.estimate)} (estimate, no label read)"
    first = value, metrics.bounds(figures.primary, wording.interval(figures))
    return Line(data, how, figures, (*first, *(metrics.value(metric) for metric in own)))


def streams(record: RunRecord) -> list[str]:
    """Describe how each test-time model met its rows, in sentences."""
    found = []
    for online in (evaluation.online for evaluation in record.evaluations):
        if online is None:
            continue
        order = "in the dataset's order" if online.seed is None else f"in an order drawn from seed {online.seed}"
        options = ", ".join(
            f"{wording.md(key)} {f'{value:.4g}' if isinstance(value, float) else wording.md(value)}"
            for key, value in online.options.items()
            if value is not None
        )
        resets = wording.plural(online.resets, "reset") + (
            f" ({online.collapses} on collapse)" if online.collapses else ""
        )
        found.append(
            f"{wording.code(online.method)}: {wording.plural(online.batches, 'batch', 'batches')} of "
            f"{online.batch_size} rows, {order}; learnt from {wording.plural(online.learnt, 'row')}; {resets}; {options}."
        )
    return list(dict.fromkeys(found))


class Part(NamedTuple):
    name: str
    value: float | None
    cells: list[float | None]  # of rows that lack a modality


class Ablation(NamedTuple):
    """Hold the run, its ablations, and source-only. Each ablation lacks one part of the method."""

    columns: list[str]  # "without image", …; none of one modality
    lines: list[Part]


def ablation(record: RunRecord) -> Ablation:
    """Return the ablation; without one there are no lines."""
    if not record.ablation or record.adapted is None:
        return Ablation([], [])
    columns = [s.name for s in record.adapted.subsets if "corrupted" not in s.name]

    def line(name: str, figures: Evaluation) -> Part:
        known = {s.name: s.primary for s in figures.subsets}
        return Part(name, figures.value, [known.get(column) for column in columns])

    lines = [line(f"{record.strategy}, all of it", record.adapted)]
    lines += [line(f"without {part.without}", part.figures) for part in record.ablation]
    return Ablation(columns, lines + ([line("source-only", record.source_only)] if record.source_only else []))


def at_test_time(record: RunRecord) -> str | None:
    """Describe the latest test-time evaluation on the run's own target. The frozen model stands beside it."""
    for evaluation in reversed(record.evaluations):
        online, data = evaluation.online, evaluation.data
        if online is None or (data.dataset, data.domain) != (record.target.dataset, record.target.domain):
            continue
        frozen, moving, metric = evaluation.figures.value, online.figures.value, evaluation.figures.primary
        return (
            f"With {wording.code(online.method)}, which keeps learning from the rows that it predicts: "
            f"**{metrics.value(metric, moving)}** instead of {metrics.value(metric, frozen)} "
            f"({metrics.change(metric, frozen, moving)}{' points' if metric is None or metric.unit == 'share' else ''}) on "
            f"{wording.plural(evaluation.figures.n, 'row')} of the target{_aside(evaluation)}."
        )
    return None


def _aside(evaluation: LaterEvaluation) -> str:
    said = wording.unscored(evaluation.figures)
    return f" (not scored: {said})" if said else ""


def _rows(evaluation: LaterEvaluation) -> str:
    data = evaluation.data
    split = data.eval_split or data.split
    return names.domain_link(data, short=True) + (f", {wording.code(split)}" if split else "")
