"""Source-only beside the adapted model: their difference, the domains under each, and rows that lack a modality."""

from hubtl.card import wording
from hubtl.record import Evaluation, RunRecord

SHIFTS = (
    ("proxy A-distance of the features (0: alike, 2: always told apart)", "a_distance"),
    ("squared MMD of the features", "mmd"),
    ("classes: total variation of source labels and target predictions (0 to 1)", "class_prior"),
)


def gain(record: RunRecord) -> str:
    """The interval of the difference; empty where there is none."""
    found = record.difference
    if found is None:
        return ""
    return f"{wording.signed(100 * found.low)} to {wording.signed(100 * found.high)} points"


def shifts(base: Evaluation | None, adapted: Evaluation | None) -> list[tuple[str, float | None, float | None]]:
    before, after = (e.shift if e else None for e in (base, adapted))
    if after is None:
        return []
    return [(title, getattr(before, field, None), getattr(after, field)) for title, field in SHIFTS]


def shift_rows(adapted: Evaluation | None) -> str:
    if adapted is None or adapted.shift is None or len(adapted.shift.rows) != 2:
        return ""
    source, target = (wording.plural(n, "row") for n in adapted.shift.rows)
    return f"On {source} of the source and {target} of the target."


def subsets(base: Evaluation | None, adapted: Evaluation | None) -> list[tuple[str, float | None, float | None]]:
    """Accuracy on rows that lack a modality or have one corrupted, by what they are called."""
    before = {subset.name: subset.accuracy for subset in base.subsets} if base else {}
    found = adapted.subsets if adapted else []
    return [(s.name, before.get(s.name), s.accuracy) for s in found if s.accuracy is not None]
