"""Match the outputs of two domains by column name. One domain's labels are mapped to the model's."""

from collections.abc import Sequence

import numpy as np

from hubtl.data.names import listed, partners, seen
from hubtl.errors import HubtlError
from hubtl.record import LabelSets


def pairs_of(ours: Sequence[str], theirs: Sequence[str], *, called: str = "source") -> dict[str, str]:
    """Pair the columns of two domains by name: theirs -> ours.

    Single columns are paired whatever their names.
    """
    if len(ours) == len(theirs) == 1:
        return {theirs[0]: ours[0]}
    return partners(ours, theirs, called=called)


def match(
    source: Sequence[str], target: Sequence[str] | None, *, called: str = "source"
) -> tuple[LabelSets, list[str]]:
    """Return the relation of two domains' outputs, and notes on it.

    Raises:
        HubtlError: where none is shared.
    """
    if target is None:
        return LabelSets(setting="unknown"), []
    pairs = pairs_of(source, target, called=called)
    written = {ours: theirs for theirs, ours in pairs.items()}
    shared = [name for name in source if name in written]
    if not shared:
        raise HubtlError(
            f"{called} and target share no output; {called}: {listed(source)}; target: {listed(target)}",
            hint="--label-column NAME, or name the columns alike in both",
        )
    lacks = [name for name in source if name not in written]
    more = [name for name in target if name not in pairs]
    respelt = {ours: theirs for ours, theirs in written.items() if ours != theirs}
    other = called if called.startswith("the ") else f"the {called}"
    notes = [
        f"the target's column {seen(theirs, exact=True)} is taken for {other}'s {seen(ours, exact=True)}"
        for ours, theirs in respelt.items()
    ]
    if lacks:
        notes.append(f"the target has no column for {listed(lacks)}: what is predicted there is not scored")
    if more:
        notes.append(f"{other} has no column {listed(more)}: it is not predicted")
    # a number that one domain has no column for says nothing of how those that both have are spread
    sets = LabelSets(setting="closed", shared=shared, source_only=lacks, target_only=more, respelt=respelt)
    return sets, notes


def targets(labels: np.ndarray, own: Sequence[str], outputs: Sequence[str]) -> np.ndarray:
    """Map a domain's labels [n, j] to a model's outputs [n, k]. The domain's columns are ``own``.

    Missing labels are NaN.
    """
    ours = {ours: theirs for theirs, ours in pairs_of(outputs, own).items()}
    found = np.full((len(labels), len(outputs)), np.nan, dtype=np.float32)
    for k, name in enumerate(outputs):
        if name in ours:
            found[:, k] = labels[:, list(own).index(ours[name])]
    return found
