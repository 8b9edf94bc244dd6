"""What a card says of labels that settled which of two models is better."""

from hubtl.card.wording import plural
from hubtl.record import RunRecord


def verified(record: RunRecord) -> str | None:
    """On how many labelled rows which model was better, by how much, and how the rows were chosen. Markdown."""
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
        f" Rows were drawn among the {found.disagreeing:,} of the target's training rows "
        f"({100 * found.disagreement:.0f}%) on which source-only and adapted disagree; no model learnt from their labels."
    )
    return first + gain + drawn


def by_labels(record: RunRecord) -> str | None:
    """Why labels dropped the adapted model, after "because"; None where they did not."""
    found = record.verified
    if found is None or found.answer != "source-only":
        return None
    return f"{plural(found.n, 'labelled row')} were for source-only" + f" ({100 * found.sure:.3g}%)" * (
        not found.certain
    )
