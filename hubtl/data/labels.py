"""Matching the classes of two domains by name, and turning a column into their indices."""

from collections.abc import Sequence

import numpy as np
from datasets import ClassLabel, Dataset

from hubtl.errors import HubtlError
from hubtl.record import LabelSets


def match(
    source: Sequence[str] | None, target: Sequence[str] | None, *, called: str = "source"
) -> tuple[list[str], LabelSets]:
    """The classes of a model for both domains, in the source's order, and how the two sets relate; ``called`` is
    what errors call the source.

    Names are the same if they differ only in case, spaces, hyphens and underscores. Without target names the relation
    is
    unknown. Raises HubtlError, with both lists, if no class is shared.
    """
    if source is None:
        raise HubtlError("the source has no labels", hint="--label-column NAME")
    classes = list(source)
    if len(classes) < 2:
        raise HubtlError(f"one class alone ({', '.join(classes)}): nothing to tell apart", hint="choose other data")
    if target is None:
        return classes, LabelSets(setting="unknown")
    ours, theirs = {_key(name) for name in classes}, {_key(name) for name in target}
    shared = [name for name in classes if _key(name) in theirs]
    source_only = [name for name in classes if _key(name) not in theirs]
    target_only = [name for name in target if _key(name) not in ours]
    if not shared:
        raise HubtlError(
            f"{called} and target share no class; {called}: {_listed(classes)}; target: {_listed(target)}",
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
    )


def describe(relation: LabelSets) -> str:
    """Which setting it is, with the lists that make it so."""
    if relation.setting in ("closed", "unknown"):
        return f"{relation.setting} set: {len(relation.shared)} shared classes"
    lines = [
        f"{relation.setting} set: the classes of source and target differ",
        f"  shared: {_listed(relation.shared)}",
    ]
    if relation.source_only:
        lines.append(f"  source only: {_listed(relation.source_only)}")
    if relation.target_only:
        lines.append(f"  target only: {_listed(relation.target_only)}")
    return "\n".join(lines)


def unknown_name(classes: Sequence[str]) -> str:
    """What to call the class of what is none of ``classes``: ``unknown``, or ``unknown 2`` where that is one of them."""
    taken = {_key(name) for name in classes}
    tries = ("unknown", *(f"unknown {n}" for n in range(2, len(classes) + 3)))
    return next(name for name in tries if _key(name) not in taken)


def indices(
    dataset: Dataset,
    column: str,
    class_names: Sequence[str] | None,
    classes: Sequence[str],
    other: int = -1,
) -> np.ndarray:
    """int64 [n]: the index in ``classes`` of each row's class, ``other`` for a class that is not among them.

    Raises HubtlError, naming the row, for a value that is no class of the column.
    """
    place = {_key(name): i for i, name in enumerate(classes)}
    names = list(class_names or classes)
    feature = dataset.features[column]
    values = dataset.with_format(None)[column][:]
    if isinstance(feature, ClassLabel):
        table = np.array([place.get(_key(name), other) for name in names], dtype=np.int64)
        raw = np.array([-1 if v is None else v for v in values], dtype=np.int64)
        wrong = np.flatnonzero((raw < 0) | (raw >= len(names)))
        if len(wrong):
            raise _out_of_range(dataset, column, int(wrong[0]), values[int(wrong[0])], names)
        return table[raw] if len(raw) else raw
    known = {str(name) for name in names}
    found = np.empty(len(values), dtype=np.int64)
    for row, value in enumerate(values):
        if value is None or str(value) not in known:
            raise _out_of_range(dataset, column, row, value, names)
        found[row] = place.get(_key(str(value)), other)
    return found


def _out_of_range(dataset: Dataset, column: str, row: int, value: object, names: Sequence[str]) -> HubtlError:
    return HubtlError(
        f"column {column!r}, row {row}: label {value!r} is out of range; the classes are {_listed(names)}",
        hint="mend that row, or --label-column for another column",
    )


def _key(name: str) -> str:
    return "".join(c for c in name.casefold() if c not in " _-")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f", … ({len(names)} in all)" if len(names) > 20 else "")
