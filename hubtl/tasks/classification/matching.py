"""Match the classes of two domains by name. One domain's labels are mapped to the model's."""

from collections.abc import Sequence

import numpy as np

from hubtl.data.names import SHOWN, listed, loose, partners, seen
from hubtl.errors import HubtlError, unknown
from hubtl.record import LabelSets
from hubtl.tasks.classification.reading import UNKNOWN, UNLABELLED


def match(
    source: Sequence[str] | None, target: Sequence[str] | None, *, called: str = "source"
) -> tuple[list[str], LabelSets]:
    """Return a model's classes, and the relation of the two domains.

    The classes are in the source's order. Equal names are the same class. A name without an equal may be paired with
    one that differs in case, spaces, hyphens, underscores or Unicode form, where that is one to one
    (``names.partners``). Without target names the relation is unknown.

    Args:
        source: classes of the source.
        target: classes of the target.
        called: the source's name, for errors.

    Raises:
        HubtlError: if no class is shared, and where a pair is ambiguous; the message has both lists.
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
    """Return the classes of a labelled target alone.

    Raises:
        HubtlError: for a single class.
    """
    if len(classes) < 2:
        raise HubtlError(f"one class alone ({listed(classes)}): nothing to tell apart", hint="choose other data")
    return list(classes), LabelSets(setting="closed", shared=list(classes))


def describe(relation: LabelSets) -> str:
    """Describe the setting, with its lists and the matched names."""
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
    """Return the name of the class for unknown inputs: ``unknown``, or ``unknown 2`` if taken."""
    taken = {loose(name) for name in classes}
    tries = ("unknown", *(f"unknown {n}" for n in range(2, len(classes) + 3)))
    return next(name for name in tries if loose(name) not in taken)


def indices(codes: np.ndarray, class_names: Sequence[str], classes: Sequence[str], other: int = UNKNOWN) -> np.ndarray:
    """Map a domain's codes [n] to the model's class indices. They are int64 [n].

    Args:
        codes: codes [n] of the domain; a row without a label stays ``UNLABELLED``.
        class_names: classes of the domain.
        classes: classes of the model.
        other: the index for classes that the model lacks: −1, or that of the unknown class.
    """
    known = [name for i, name in enumerate(classes) if i != other]
    place = {name: i for i, name in enumerate(classes)}
    pairs = partners(known, class_names)
    table = np.array([place[pairs[n]] if n in pairs else other for n in class_names] + [UNLABELLED], dtype=np.int64)
    return table[np.where(codes == UNLABELLED, len(class_names), codes)]


def one_of(text: str, classes: Sequence[str], none: str, other: int) -> int:
    """Return the index of a class that a person typed, ignoring case.

    Args:
        text: the typed text.
        classes: the classes.
        none: the text for none of them.
        other: the index for ``none``.

    Raises:
        HubtlError: for any other text.
    """
    typed = text.strip()
    if typed in classes:
        return list(classes).index(typed)
    alike = [number for number, name in enumerate(classes) if loose(name) == loose(typed)]
    if len(alike) == 1:
        return alike[0]
    if loose(typed) == loose(none):
        return other
    raise unknown("class", typed, [*classes, none])
