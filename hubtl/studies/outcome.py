"""What labels of single rows say so far, in words: for the terminal and the page."""

from hubtl.io import shown
from hubtl.judging.asking import still
from hubtl.record import Verified
from hubtl.run.ship import aside, shipped
from hubtl.studies.label import Labelling


def opening(asking: Labelling) -> str:
    """What is asked for, in a line."""
    return (
        f"source-only and adapted disagree on {len(asking.order):,} of {asking.rows:,} target rows "
        f"({100 * asking.share:.0f} %): at most {asking.rule.most} are asked for, and fewer where that decides"
    )


def progress(asking: Labelling) -> str:
    """What the labels say so far, in a line."""
    tally = asking.tally
    low, middle, high = (100 * number for number in tally.gain(asking.share))
    gain = f"{middle:+.1f} points of all rows (90 % interval {low:+.1f} to {high:+.1f})".replace("-", "−")
    return (
        f"wins {tally.wins}, losses {tally.losses}, neither {tally.neither}: adapted better with "
        f"{100 * tally.better(asking.rule.prior):.1f} %, gain {gain}"
    )


def outcome(asking: Labelling, found: Verified | None) -> list[str]:
    """The verdict in one of three answers, what became of the run, and what to type next."""
    run = shown.typed(asking.folder)
    if found is None or not found.n:
        return [f"nothing is labelled; go on with: hubtl label {run}"]
    ships = shipped(asking.record)
    lines = [progress(asking), f"verdict: {found.brief}, by {found.n} labelled rows"]
    if found.answer == "undecided":
        more = still(asking.tally, prior=found.prior, certain=found.certain)
        if found.n >= found.most or asking.current() is None:
            much = f"label {more} more rows to decide" if more else "more labels will hardly tell them apart"
            lines += [f"undecided: {much}: hubtl label {run} --max {found.n + (more or 50)}"]
        else:
            lines += [f"undecided so far: label {more} more rows to decide" * bool(more)] * bool(more)
            lines += [f"go on with: hubtl label {run}"]
    return [*lines, f"{run} ships {ships}; the other model is in {asking.folder / aside(asking.record)}"]
