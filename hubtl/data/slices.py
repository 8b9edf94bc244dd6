"""Select rows of a dataset: splits, slices of one, and the rows of a domain."""

import re
from collections.abc import Iterable

import numpy as np
from datasets import Dataset, DatasetDict

from hubtl.data import columns
from hubtl.data.origin import select
from hubtl.data.values import cell_names
from hubtl.errors import HubtlError, nearest, unknown

EVAL_SHARE = 0.2  # of the training rows, where the data have no split to evaluate on
EVALUATED = ("test", "validation", "val", "valid", "dev")  # the first that has labels


def training(splits: DatasetDict, asked: str | None, where: str, role: str) -> str:
    """Return the name of the split to train on.

    Raises:
        HubtlError: where it is ambiguous.
    """
    if asked is not None:
        return asked
    if "train" in splits or len(splits) == 1:
        return "train" if "train" in splits else str(next(iter(splits)))
    raise HubtlError(
        f"{where} has no split called train; it has: {', '.join(splits)}", hint=f"--{role}-split {next(iter(splits))}"
    )


def evaluated(splits: Iterable[str], train: str) -> list[str]:
    """Return the splits to evaluate on by default, the usual first."""
    known = set(splits)
    return [name for name in EVALUATED if name in known and name != train]


def taken(splits: DatasetDict, name: str, where: str, flag: str) -> Dataset:
    """Return a split, or a slice of one: ``train[:50%]``, ``train[100:200]``.

    Raises:
        HubtlError: where there is none.
    """
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


def cut_off(train: str) -> str:
    """Return the name of rows held out of a training split: ``20% of train``."""
    return f"{EVAL_SHARE:.0%} of {train}"


def numbers(dataset: Dataset, column: str | None, names: list[str]) -> np.ndarray | None:
    """Return the position of each row's domain among several, int64 [n]."""
    if not names or column is None:
        return None
    place = {name: i for i, name in enumerate(names)}
    cells = cell_names(dataset, columns.header(dataset, column) or column)
    return np.array([place[str(cell)] for cell in cells], dtype=np.int64)


def cut(
    rows: int, strata: np.ndarray | None = None, share: float = EVAL_SHARE, labelled: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Hold out evaluation rows from the training rows. They are stratified if ``strata`` are given.

    Rows without a label stay in training.

    Args:
        rows: the number of rows n.
        strata: the stratum [n] of each row.
        share: the share to hold out.
        labelled: mask [n] of rows with a label.

    Returns:
        Rows that stay and rows that are held out, the same ones in every run.
    """
    rng = np.random.default_rng(0)
    values = np.zeros(rows, int) if strata is None else strata
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    held: list[int] = []
    for part in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        part = part if labelled is None else part[labelled[part]]
        part = rng.permutation(part)
        held += part[: max(1, round(share * len(part)))].tolist() if len(part) > 1 else []
    chosen = np.array(sorted(held), dtype=np.int64)
    return np.setdiff1d(np.arange(rows), chosen), chosen


def of_domain(dataset: Dataset, column: str | None, value: str | list[str] | None, where: str, role: str) -> Dataset:
    """Return the rows of one domain of a dataset. The dataset has several; some may be asked for."""
    if column is None or value is None:
        if value is not None:
            named = value if isinstance(value, str) else value[0]
            raise HubtlError(
                f"--{role}-domain {named} needs a column to look in, or a folder of that name in {where}",
                hint="--domain-column NAME",
            )
        return dataset
    there = columns.header(dataset, column)
    if there is None:
        raise unknown(f"domain column of {where}", column, dataset.column_names)
    names = np.array([str(name or "") for name in cell_names(dataset, there)])
    wanted = value if isinstance(value, list) else [value]
    for name in wanted:
        if name not in names:
            error = unknown(f"domain in column {column!r} of {where}", name, set(names.tolist()))
            guess = nearest(name, set(names.tolist()))
            error.hint = f"--{role}-domain {guess}" if guess else error.hint
            raise error
    return select(dataset, np.flatnonzero(np.isin(names, wanted)))
