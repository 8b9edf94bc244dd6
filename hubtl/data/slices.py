"""The splits of a dataset: which one is trained on, which may be evaluated on, and slices of one."""

import re
from collections.abc import Iterable

from datasets import Dataset, DatasetDict

from hubtl.data.origin import select
from hubtl.errors import HubtlError, nearest, unknown

EVALUATED = ("test", "validation", "val", "valid", "dev")  # the first that has labels


def training(splits: DatasetDict, asked: str | None, where: str, role: str) -> str:
    """The name of the split to train on. Raises HubtlError where it is not clear."""
    if asked is not None:
        return asked
    if "train" in splits or len(splits) == 1:
        return "train" if "train" in splits else str(next(iter(splits)))
    raise HubtlError(
        f"{where} has no split called train; it has: {', '.join(splits)}", hint=f"--{role}-split {next(iter(splits))}"
    )


def evaluated(splits: Iterable[str], train: str) -> list[str]:
    """The splits that may be evaluated on where none is asked for, the usual one first."""
    known = set(splits)
    return [name for name in EVALUATED if name in known and name != train]


def taken(splits: DatasetDict, name: str, where: str, flag: str) -> Dataset:
    """A split, or a slice of one: ``train[:50%]``, ``train[100:200]``. Raises HubtlError where there is none."""
    sliced = re.fullmatch(r"([\w.-]+)\[(-?\d+%?)?:(-?\d+%?)?\]", name)
    base = sliced.group(1) if sliced else name
    if base not in splits:
        error = unknown(f"split of {where}", base, splits)
        error.hint = f"{flag} {nearest(base, splits) or next(iter(splits))}"
        raise error
    dataset = splits[base]
    if not sliced:
        return dataset
    start, stop = (_position(sliced.group(i), len(dataset), default) for i, default in ((2, 0), (3, len(dataset))))
    return select(dataset, range(start, max(start, stop)))


def _position(text: str | None, n: int, default: int) -> int:
    if text is None:
        return default
    number = round(n * int(text[:-1]) / 100) if text.endswith("%") else int(text)
    return min(n, max(0, number + n if number < 0 else number))
