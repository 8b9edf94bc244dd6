"""Matching the classes of two domains by name, and turning those of one into the model's."""

from collections.abc import Sequence

import numpy as np

from hubtl.data.names import SHOWN, listed, loose, partners, seen
from hubtl.errors import HubtlError, unknown
from hubtl.record import LabelSets
from hubtl.tasks.classification.reading import UNKNOWN, UNLABELLED


def match(
    source: Sequence[str] | None, target: Sequence[str] | None, *, called: str = "source"
) -> tuple[list[str], LabelSets]:
    """The classes of a model for both domains, in the source's order, and how the two sets relate; ``called`` is
    what errors call the source.

    Equal names are the same class. A name without an equal may be paired with another that differs in case, spaces,
    hyphens, underscores or Unicode form, where that is one to one (``names.partners``). Without target names the
    relation is unknown. Raises HubtlError, with both lists, if no class is shared, and where a pair is not clear.
    """
    if source is None:
        raise HubtlError("the source has no labels", hint="--label-column NAME")
    classes = list(source)
    if len(classes) < 2:
        raise HubtlError(f"one class alone ({listed(classes)}): nothing to tell apart", hint="choose other data")
    if target is None:
        return classes, LabelSets(setting="unknown")
    pairs = partners(classes, target, called=called)
    written = {ours: theirs for theirs, ours in pairs.items()}
    shared = [name for name in classes if name in written]
    source_only = [name for name in classes if name not in written]
    target_only = [name for name in target if name not in pairs]
    if not shared:
        both = [*classes, *target]
        raise HubtlError(
            f"{called} and target share no class; {called}: {listed(classes, among=both)}; "
            f"target: {listed(target, among=both)}",
            hint="rename the classes of one to those of the other, or --label-column",
        )
    setting = {
        (False, False): "closed",
        (True, False): "partial",
        (False, True): "open",
        (True, True): "open-partial",
    }[bool(source_only), bool(target_only)]
    return classes, LabelSets(
        setting=setting,
        shared=shared,
        source_only=source_only,
        target_only=target_only,
        respelt={name: written[name] for name in shared if written[name] != name},
    )


def own(classes: Sequence[str]) -> tuple[list[str], LabelSets]:
    """The classes of a labelled target alone. Raises HubtlError where there is one."""
    if len(classes) < 2:
        raise HubtlError(f"one class alone ({listed(classes)}): nothing to tell apart", hint="choose other data")
    return list(classes), LabelSets(setting="closed", shared=list(classes))


def describe(relation: LabelSets) -> str:
    """Which setting it is, with the lists that make it so, and which names were taken for the same."""
    lines = []
    if relation.setting in ("closed", "unknown"):
        lines.append(f"{relation.setting} set: {len(relation.shared)} shared classes")
    else:
        both = [*relation.shared, *relation.source_only, *relation.target_only]
        lines.append(f"{relation.setting} set: the classes of source and target differ")
        lines.append(f"  shared: {listed(relation.shared, among=both)}")
        for where, names in (("source only", relation.source_only), ("target only", relation.target_only)):
            if names:
                lines.append(f"  {where}: {listed(names, among=both)}")
    pairs = [f"{seen(o, exact=True)} = {seen(t, exact=True)}" for o, t in relation.respelt.items()]
    if pairs:
        more = f", … ({len(pairs)} in all)" if len(pairs) > SHOWN else ""
        lines.append(f"taken for the same class, source = target: {', '.join(pairs[:SHOWN])}{more}")
    return "\n".join(lines)


def unknown_name(classes: Sequence[str]) -> str:
    """What to call the class of what is none of ``classes``: ``unknown``, or ``unknown 2`` where that is one of them."""
    taken = {loose(name) for name in classes}
    tries = ("unknown", *(f"unknown {n}" for n in range(2, len(classes) + 3)))
    return next(name for name in tries if loose(name) not in taken)


def indices(codes: np.ndarray, class_names: Sequence[str], classes: Sequence[str], other: int = UNKNOWN) -> np.ndarray:
    """Turn codes [n] of a domain's ``class_names`` into places in the model's ``classes``, int64 [n].

    A class that is not among them is ``other``: −1, or the place of the class for what is none of the others. A row
    without a label stays ``UNLABELLED``.
    """
    known = [name for i, name in enumerate(classes) if i != other]
    place = {name: i for i, name in enumerate(classes)}
    pairs = partners(known, class_names)
    table = np.array([place[pairs[n]] if n in pairs else other for n in class_names] + [UNLABELLED], dtype=np.int64)
    return table[np.where(codes == UNLABELLED, len(class_names), codes)]


def one_of(text: str, classes: Sequence[str], none: str, other: int) -> int:
    """The place of a class that a person typed, whatever its case; ``other`` for ``none``. Raises HubtlError."""
    typed = text.strip()
    if typed in classes:
        return list(classes).index(typed)
    alike = [number for number, name in enumerate(classes) if loose(name) == loose(typed)]
    if len(alike) == 1:
        return alike[0]
    if loose(typed) == loose(none):
        return other
    raise unknown("class", typed, [*classes, none])
