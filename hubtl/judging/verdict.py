"""Whether to ship an adapted model or source-only, as far as that can be told without target labels: three answers."""

from collections.abc import Callable

from hubtl.record import Evaluation, Verdict

ROWS = 20  # labels that settle it in nineteen of twenty runs, asked for where the two models disagree


def verdict(
    before: Evaluation,
    after: Evaluation,
    *,
    cost: Callable[[Evaluation, Evaluation], str | None] | None = None,
    better: bool | None = None,
    disagreement: float | None = None,
    rows: int = ROWS,
) -> Verdict:
    """Compare an adapted model with source-only, by what reads no target label.

    Against the adapted model stands a guard rail, if one does: collapsed predictions, or what ``cost`` says that adapting
    cost on the source (None: it does not matter). For it speaks a bound that separates the two (``better``). Else it is
    undecided, and labels decide: at most ``rows`` of those on which the two disagree. Scores have no vote: what a method
    trains for rises whether it helped or not, and always adapting was right more often than their majority.
    """
    common = {"disagreement": disagreement}
    if rail := _rail(before, after, cost):
        return Verdict(answer="source-only", reason=rail, rail=True, **common)
    if disagreement == 0:
        return Verdict(answer="undecided", reason="the two models answer alike on every row that was tried", **common)
    if better:
        reason = "a lower bound on how well it does lies above the estimate of source-only"
        return Verdict(answer="adapted", reason=reason, **common)
    reason = "no label of the target was read, and nothing without one tells the two apart"
    return Verdict(answer="undecided", reason=reason, rows=rows, **common)


def _rail(
    before: Evaluation, after: Evaluation, cost: Callable[[Evaluation, Evaluation], str | None] | None
) -> str | None:
    if after.collapse:
        return f"collapse: {after.collapse}"
    return None if cost is None else cost(before, after)
