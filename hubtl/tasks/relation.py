"""Describe the relation of two domains' labels, for a card."""

from hubtl.card.wording import listing, many, md
from hubtl.record import RunRecord


def described(record: RunRecord, group: str) -> str:
    """Describe which outputs both domains share and which one has alone. Markdown.

    Args:
        record: the record of the run.
        group: the word for an output: ``class``.
    """
    sets = record.label_sets
    if sets.setting == "unknown":
        return f"How the {many(group)} of source and target relate is unknown: the target names none."
    n = len(sets.shared)
    text = f"Label sets: {sets.setting}, {n:,} {group if n == 1 else many(group)} shared."
    if sets.source_only:
        text += f" Only in the source: {listing(sets.source_only)}."
    if sets.target_only:
        text += f" Only in the target: {listing(sets.target_only)}."
    if sets.respelt:
        pairs = [f"{ours!a} (target: {theirs!a})" for ours, theirs in sets.respelt.items()]
        text += f" Taken for the same {group}, as they differ in spelling alone: {listing(pairs)}."
    if record.unknown:
        text += f" What is none of the source's {many(group)} is to be called {md(record.unknown)}."
    return text
