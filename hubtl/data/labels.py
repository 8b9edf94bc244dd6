"""Define the labels of a domain, as its task reads them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hubtl.data.names import WHOLE, listed, loose
from hubtl.errors import HubtlError
from hubtl.record import Outputs


@dataclass(frozen=True)
class Labels:
    """Hold a domain's label meaning, and each split's labels."""

    outputs: Outputs
    values: list[np.ndarray]  # of each split [n, …], in the task's own type
    notes: list[str] = field(default_factory=list)  # what to tell the user


def apart(parts: Sequence[set[str]], called: Sequence[str], where: str) -> list[str]:
    """Return a note for each split that shares no class. It is compared with the first that has any.

    Args:
        parts: the classes of each split.
        called: the names of the splits.
        where: the data set's name, for errors.

    Raises:
        HubtlError: where two splits write a class differently, or one has numbers and the other names.
    """
    used = [(name, own) for name, own in zip(called, parts, strict=True) if own]
    notes = []
    for split, own in used[1:]:
        first, usual = used[0]
        written = {loose(name): name for name in sorted(usual - own)}
        twins = [(written[loose(name)], name) for name in sorted(own - usual) if loose(name) in written]
        if twins:
            raise HubtlError(
                f"{where}: the splits {first} and {split} write a class differently: {listed(twins[0], exact=True)}",
                hint="write it alike in both",
            )
        if usual & own:
            continue
        numbered = [all(WHOLE.fullmatch(name) for name in names) for names in (usual, own)]
        shown = f"{first} has {listed(sorted(usual)[:5])}, and {split} {listed(sorted(own)[:5])}"
        if numbered[0] != numbered[1]:
            raise HubtlError(
                f"{where}: the splits share no class: {shown}: which is which is not known",
                hint="write the same names in both",
            )
        notes.append(f"the splits share no class: {shown}")
    return notes
