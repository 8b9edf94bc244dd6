"""Whether adapting helped, as far as that can be told without target labels: validators vote, behind guard rails."""

from collections.abc import Callable, Collection

from hubtl.record import Evaluation, Verdict

SAME = 1e-6  # scores that differ by no more are equal


def verdict(
    before: Evaluation,
    after: Evaluation,
    voters: Collection[str],
    abstain: Collection[str] = (),
    *,
    comparable: bool = True,
    cost: Callable[[Evaluation, Evaluation], str | None] | None = None,
) -> Verdict:
    """Compare an adapted model with source-only, by scores that read no target label.

    Against the adapted model stands a guard rail, if one does: collapsed predictions, or what ``cost`` says that adapting
    cost on the source (None: it does not matter). Else the ``voters`` that scored both models decide, each with one
    vote; ``abstain`` are those that the method itself makes better, whatever it does to accuracy. Source-only wins a
    tie: who adapts has to show it. Models that are not ``comparable``, one with an output for the unknown and one
    without, leave only the rails.
    """
    scores = {
        name: [before.scores[name], after.scores[name]]
        for name in voters
        if name in before.scores and name in after.scores
    }
    silent = sorted(name for name in scores if name in abstain)
    better = sorted(n for n, (b, a) in scores.items() if n not in abstain and a > b + SAME)
    worse = sorted(n for n, (b, a) in scores.items() if n not in abstain and a < b - SAME)
    if rail := _rail(before, after, cost):
        return Verdict(adapted=False, reason=rail, rail=True, scores=scores, abstained=silent)
    if not comparable:
        reason = "only the adapted model can answer that a row is of no known class; their scores share no scale"
        return Verdict(adapted=True, reason=reason)
    said = f"{', '.join(better) or 'none'} for the adapted model; {', '.join(worse) or 'none'} for source-only"
    found = Verdict(adapted=len(better) > len(worse), reason=said, scores=scores, abstained=silent)
    if found.alone:
        liked = "prefers the adapted model" if better else "prefers source-only" if worse else "sees no difference"
        found.reason = f"the one score that reads no target label ({found.alone}) {liked}"
    return found


def _rail(
    before: Evaluation, after: Evaluation, cost: Callable[[Evaluation, Evaluation], str | None] | None
) -> str | None:
    if after.collapse:
        return f"collapse: {after.collapse}"
    return None if cost is None else cost(before, after)
