"""Decide whether to ship an adapted model or source-only, without target labels: three answers."""

from collections.abc import Callable

from hubtl.record import Evaluation, Verdict

ROWS = (
    20  # labels, of rows on which the two disagree: they settle a difference of ten points in nineteen of twenty runs
)


def verdict(
    before: Evaluation,
    after: Evaluation,
    *,
    cost: Callable[[Evaluation, Evaluation], str | None] | None = None,
    unlearned: Callable[[Evaluation], str | None] | None = None,
    disagreement: float | None = None,
    among: int | None = None,
    asks: bool = True,
) -> Verdict:
    """Compare an adapted model with source-only, without target labels.

    Guard rails can reject the adapted model: collapsed predictions, the ``cost`` of adapting on the source, or an
    ``unlearned`` source-only that knows too little of the source to label a target. A lower bound on its quality can
    accept it, where it exceeds the estimate of source-only. Otherwise the verdict is undecided, and labels decide:
    those of at most ``ROWS`` of the rows on which the two disagree. Scores have no vote: a score that a method
    optimises rises whether it helped or not, and always adapting was right more often than their majority. No rows are
    named where nobody can be asked for the label of a row (``asks``).

    Args:
        before: source-only's evaluation.
        after: the adapted model's.
        cost: describes too large a loss of quality on the source.
        unlearned: describes a source-only that knows too little of the source.
        disagreement: the share of target training rows with different answers, 0 to 1.
        among: the number of target training rows.
    """
    if rail := _rail(before, after, cost) or (None if unlearned is None else unlearned(before)):
        return Verdict(answer="source-only", reason=rail, rail=True, disagreement=disagreement, asks=asks)
    if disagreement == 0:
        reason = "the two models answer alike on every row that was tried"
        return Verdict(answer="undecided", reason=reason, disagreement=disagreement, asks=asks)
    if after.bound is not None and after.bound.separates:
        reason = f"a lower bound on how well it does ({after.bound.method}) lies above the estimate of source-only"
        return Verdict(answer="adapted", reason=reason, disagreement=disagreement, asks=asks)
    rows = ROWS if disagreement is None or among is None else min(ROWS, max(1, round(disagreement * among)))
    reason = "no label of the target was read, and no evidence without labels decides"
    return Verdict(answer="undecided", reason=reason, rows=rows if asks else 0, disagreement=disagreement, asks=asks)


def _rail(
    before: Evaluation, after: Evaluation, cost: Callable[[Evaluation, Evaluation], str | None] | None
) -> str | None:
    if after.collapse:
        return f"collapse: {after.collapse}"
    return None if cost is None else cost(before, after)
