"""Describe the labels that decided which model is better. A card shows it."""

from hubtl.card.wording import plural
from hubtl.record import RunRecord


def verified(record: RunRecord) -> str | None:
    """Describe which model was better on how many labelled rows. Their sampling is said, too. Markdown."""
    found = record.verified
    if found is None or not found.n:
        return None
    rows, answer = plural(found.n, "labelled row"), found.brief.replace(" %", "%")
    first = f"Verified on {rows}: **{answer}**."
    if found.answer == "undecided":
        first = f"Labelled, not settled: {rows}, {answer}."
    gain = ""
    if found.gain is not None:
        low, middle, high = (f"{100 * number:+.1f}".replace("-", "−") for number in found.gain)
        gain = (
            f" The gain is {middle} points of all rows (90% interval {low} to {high}): those that adapted answers better, "
            "less those that it answers worse."
        )
    drawn = (
        f" Rows were drawn among the {plural(found.disagreeing, 'training row')} of the target "
        f"({100 * found.disagreement:.0f}%) that source-only and adapted answer differently; no model learnt from their labels."
    )
    return first + gain + drawn


def by_labels(record: RunRecord) -> str | None:
    """Return why labels dropped the adapted model, to follow "because", or None."""
    found = record.verified
    if found is None or found.answer != "source-only":
        return None
    return f"the labels of {plural(found.n, 'row')} favour source-only" + f" ({100 * found.sure:.3g}%)" * (
        not found.certain
    )
