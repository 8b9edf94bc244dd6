"""Describe the evidence of labels in words. The terminal and the page show them."""

from hubtl.io import shown
from hubtl.judging.asking import still
from hubtl.record import Verified
from hubtl.run.ship import aside, shipped
from hubtl.studies.label import Labelling, Rule


def opening(asking: Labelling) -> str:
    """Describe the task of the labeller in a line."""
    return (
        f"source-only and adapted {disagreeing(asking)}: at most {asking.rule.most} are asked for, "
        "and fewer where that decides"
    )


def disagreeing(asking: Labelling) -> str:
    """Describe how many rows two models answer differently, to follow their names."""
    if len(asking.order) == asking.rows:
        return f"answer each of {shown.plural(asking.rows, 'target row')} differently"
    return f"disagree on {len(asking.order):,} of {asking.rows:,} target rows ({100 * asking.share:.0f} %)"


def progress(asking: Labelling) -> str:
    """Describe the evidence so far in a line."""
    tally = asking.tally
    low, middle, high = (100 * number for number in tally.gain(asking.share))
    gain = f"{middle:+.1f} points of all rows (90 % interval {low:+.1f} to {high:+.1f})".replace("-", "−")
    return (
        f"wins {tally.wins}, losses {tally.losses}, neither {tally.neither}: adapted better with "
        f"{100 * tally.better(asking.rule.prior):.1f} %, gain {gain}"
    )


def outcome(asking: Labelling, found: Verified | None, *, page: bool = False) -> list[str]:
    """Describe the verdict, the shipped model, and the next command.

    Args:
        asking: the labelling.
        found: the evidence, or None without labels.
        page: name the command of the page.
    """
    run = shown.typed(asking.folder)
    if found is None or not found.n:
        return [f"nothing is labelled; continue with: {_again(asking, page)}"]
    lines = [progress(asking), f"verdict: {found.brief}, by {shown.plural(found.n, 'labelled row')}"]
    if found.answer == "undecided":
        if found.n >= found.most or asking.current() is None:
            lines += [f"undecided: {more(asking, found, page=page)}"]
        else:
            rows = still(asking.tally, prior=found.prior, certain=found.certain)
            if rows:
                lines.append(f"undecided so far: label {shown.plural(rows, 'more row')} to decide")
            lines += [f"continue with: {_again(asking, page)}"]
    return [
        *lines,
        f"{run} ships {shipped(asking.record)}; the other model is in {asking.folder / aside(asking.record)}",
    ]


def more(asking: Labelling, found: Verified, *, page: bool = True) -> str:
    """Return how many more labels would decide. The command that asks for them comes with it."""
    if len(found.rows) == len(asking.order):
        return "every row on which the two disagree was asked for"
    rows = still(asking.tally, prior=found.prior, certain=found.certain)
    much = (
        f"label {shown.plural(rows, 'more row')} to decide" if rows else "more labels will hardly decide between them"
    )
    return f"{much}: {_again(asking, page)} --max {found.n + (rows or 50)}"


def _again(asking: Labelling, page: bool) -> str:
    """Return the command that continues with the same rule."""
    rule = asking.rule
    flags = ["--page"] * page + ["--certain"] * (rule.certain is not None)
    flags += [f"--prior {rule.prior}"] * (rule.prior != Rule.prior) + [f"--seed {rule.seed}"] * (rule.seed != Rule.seed)
    return " ".join(["hubtl label", shown.typed(asking.folder), *flags])
