"""Whether to ship an adapted model or source-only, as far as that can be told without target labels: three answers."""

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
) -> Verdict:
    """Compare an adapted model with source-only, by what reads no target label.

    Against the adapted model stands a guard rail, if one does: collapsed predictions, or what ``cost`` says that adapting
    cost on the source (None: it does not matter), or what ``unlearned`` says of a source-only that knows too little of
    the source to label a target. For it speaks a lower bound on how well it does, where that lies above the estimate of
    source-only. Else it is undecided, and labels decide: of at most ``ROWS`` of the rows
    on which the two disagree, a share ``disagreement`` of ``among`` target rows. Scores have no vote: what a method trains
    for rises whether it helped or not, and always adapting was right more often than their majority.
    """
    if rail := _rail(before, after, cost) or (None if unlearned is None else unlearned(before)):
        return Verdict(answer="source-only", reason=rail, rail=True, disagreement=disagreement)
    if disagreement == 0:
        reason = "the two models answer alike on every row that was tried"
        return Verdict(answer="undecided", reason=reason, disagreement=disagreement)
    if after.bound is not None and after.bound.separates:
        reason = f"a lower bound on how well it does ({after.bound.method}) lies above the estimate of source-only"
        return Verdict(answer="adapted", reason=reason, disagreement=disagreement)
    rows = ROWS if disagreement is None or among is None else min(ROWS, max(1, round(disagreement * among)))
    reason = "no label of the target was read, and nothing without one tells the two apart"
    return Verdict(answer="undecided", reason=reason, rows=rows, disagreement=disagreement)


def _rail(
    before: Evaluation, after: Evaluation, cost: Callable[[Evaluation, Evaluation], str | None] | None
) -> str | None:
    if after.collapse:
        return f"collapse: {after.collapse}"
    return None if cost is None else cost(before, after)
