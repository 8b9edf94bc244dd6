"""``--source-dataset`` and ``--target-dataset``: from what a user typed to two splits with known columns."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict

from hubtl.data import columns
from hubtl.data.cells import Wanted
from hubtl.data.opening import opened
from hubtl.errors import HubtlError, nearest, unknown
from hubtl.recipe import DataSection, DomainSection, SourceSection
from hubtl.record import DomainFacts

EVAL_SHARE = 0.2  # of the training rows, where the data have no split to evaluate on


@dataclass(frozen=True)
class Domain:
    """A source or a target: rows to train on, rows to evaluate on, and what their columns mean."""

    train: Dataset
    eval: Dataset
    columns: dict[str, str]  # modality -> column
    label_column: str | None
    class_names: list[str] | None
    facts: DomainFacts
    domains: np.ndarray | None = None  # [n] of several: which one a training row is of
    eval_domains: np.ndarray | None = None


def open_domain(
    section: DomainSection | SourceSection, data: DataSection, *, role: str, modalities: Sequence[str] = ("image",)
) -> Domain:
    """Open a domain, or several of one dataset as one that knows which row is of which.

    Training rows default to the split ``train`` (or the only one), evaluation rows to ``test``, else ``validation``,
    else a
    fifth of the training rows that is cut off them: the same rows in every run. Raises HubtlError naming what is
    missing.
    """
    where = f"the {role} {section.dataset}"
    asked = {m: getattr(data, f"{m}_column") for m in modalities}
    source = opened(section.dataset, Wanted(tuple(modalities), asked, lenient=data.on_bad_sample == "skip"))
    splits = source.splits
    train_name = _train_split(splits, section.split, where, role)
    train = _split(splits, train_name, where, f"--{role}-split")
    eval_name = section.eval_split or _default_eval(splits, train_name)
    evaluated = _split(splits, eval_name, where, f"--{role}-eval-split") if eval_name else None
    train = _of_domain(train, data.domain_column, section.domain, where, role)
    if evaluated is not None:
        evaluated = _of_domain(evaluated, data.domain_column, section.domain, where, role)
    found = {m: columns.FINDERS[m](train, getattr(data, f"{m}_column"), where) for m in modalities}
    if evaluated is not None and (lacking := [c for c in found.values() if c not in evaluated.features]):
        raise HubtlError(f"{where}: split {eval_name} has no column {lacking[0]}", hint=f"--{role}-eval-split")
    label = _label_column(train, evaluated, data.label_column, where)
    names = (
        columns.class_names([p for p in (train, evaluated) if p is not None and label in p.features], label)
        if label
        else None
    )
    eval_label = evaluated is None or label is None or label in evaluated.features
    if evaluated is None:
        train, evaluated = cut(train, label)
        eval_name = f"{EVAL_SHARE:.0%} of {train_name}"
    for part, name in ((train, train_name), (evaluated, eval_name)):
        if len(part) == 0:
            raise HubtlError(f"{where}: split {name} is empty", hint=f"--{role}-split, or other data")
    counts = _counts(train, label, names) if role == "source" and label else {}
    if role == "source" and sum(1 for n in counts.values() if n) == 1:
        only = next(name for name, n in counts.items() if n)
        raise HubtlError(
            f"{where}: all training rows are of one class ({only})", hint="a source needs at least two classes"
        )
    if names is not None and len(names) < 2:
        raise HubtlError(
            f"{where} has one class alone ({', '.join(names)}): nothing to tell apart", hint="choose other data"
        )
    several = section.domain if isinstance(section.domain, list) else []
    domains, eval_domains = (_numbers(part, data.domain_column, several) for part in (train, evaluated))
    facts = DomainFacts(
        dataset=source.shown,
        hub_id=source.hub_id,
        config=source.config,
        revision=source.revision,
        license=source.license,
        fingerprint=str(train._fingerprint),
        domain=" + ".join(several) if several else section.domain,
        domains=several,
        split=train_name,
        eval_split=eval_name,
        rows=len(train),
        eval_rows=len(evaluated),
        labelled=label is not None,
        eval_labelled=label is not None and eval_label,
        class_counts=counts,
        columns=found | ({"label": label} if label else {}),
    )
    return Domain(train, evaluated, found, label if eval_label else None, names, facts, domains, eval_domains)


def _numbers(dataset: Dataset, column: str | None, names: list[str]) -> np.ndarray | None:
    """int64 [n]: the place of each row's domain among several."""
    if not names or column is None:
        return None
    return np.array([names.index(cell) for cell in _cells(dataset, column)], dtype=np.int64)


def _cells(dataset: Dataset, column: str) -> list[str]:
    feature = dataset.features[column]
    return [
        feature.names[v] if isinstance(feature, ClassLabel) else str(v) for v in dataset.with_format(None)[column][:]
    ]


def cut(dataset: Dataset, label: str | None, share: float = EVAL_SHARE) -> tuple[Dataset, Dataset]:
    """Cut rows to evaluate on off the training rows; each class alike where there are labels.

    The same rows in every run.
    """
    rng = np.random.default_rng(0)
    values = np.array([str(v) for v in dataset[label]]) if label else np.zeros(len(dataset), dtype=int)
    held: list[int] = []
    for value in np.unique(values):
        rows = rng.permutation(np.flatnonzero(values == value))
        held += rows[: max(1, round(share * len(rows)))].tolist() if len(rows) > 1 else []
    keep = np.setdiff1d(np.arange(len(dataset)), held)
    return dataset.select(keep), dataset.select(sorted(held))


def _train_split(splits: DatasetDict, asked: str | None, where: str, role: str) -> str:
    if asked is not None:
        return asked
    if "train" in splits or len(splits) == 1:
        return "train" if "train" in splits else str(next(iter(splits)))
    raise HubtlError(
        f"{where} has no split called train; it has: {', '.join(splits)}", hint=f"--{role}-split {next(iter(splits))}"
    )


def _default_eval(splits: DatasetDict, train: str) -> str | None:
    return next((name for name in ("test", "validation", "val", "valid") if name in splits and name != train), None)


def _split(splits: DatasetDict, name: str, where: str, flag: str) -> Dataset:
    """A split, or a slice of one: ``train[:50%]``, ``train[100:200]``."""
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
    return dataset.select(range(start, max(start, stop)))


def _position(text: str | None, n: int, default: int) -> int:
    if text is None:
        return default
    number = round(n * int(text[:-1]) / 100) if text.endswith("%") else int(text)
    return min(n, max(0, number + n if number < 0 else number))


def _of_domain(dataset: Dataset, column: str | None, value: str | list[str] | None, where: str, role: str) -> Dataset:
    """The rows of one domain (or some) of a dataset with several."""
    if column is None or value is None:
        if value is not None:
            named = value if isinstance(value, str) else value[0]
            raise HubtlError(f"--{role}-domain {named} needs a column to look in", hint="--domain-column NAME")
        return dataset
    if column not in dataset.features:
        raise unknown(f"domain column of {where}", column, dataset.column_names)
    names, wanted = np.array(_cells(dataset, column)), value if isinstance(value, list) else [value]
    for name in wanted:
        if name not in names:
            error = unknown(f"domain in column {column!r} of {where}", name, set(names.tolist()))
            guess = nearest(name, set(names.tolist()))
            error.hint = f"--{role}-domain {guess}" if guess else error.hint
            raise error
    return dataset.select(np.flatnonzero(np.isin(names, wanted)))


def _label_column(train: Dataset, evaluated: Dataset | None, asked: str | None, where: str) -> str | None:
    """Found in the training rows, else in the evaluation rows: an unlabelled target may have a labelled test split."""
    if asked is not None and evaluated is not None and asked not in train.features and asked in evaluated.features:
        return asked
    found = columns.label_column(train, asked, where)
    if found is None and evaluated is not None:
        found = columns.label_column(evaluated, None, where)
    return found


def _counts(dataset: Dataset, label: str, names: list[str] | None) -> dict[str, int]:
    feature: Any = dataset.features[label]
    cells = dataset.with_format(None)[label][:]
    shown = [
        feature.names[v] if isinstance(feature, ClassLabel) and 0 <= v < len(feature.names) else str(v) for v in cells
    ]
    counts = dict.fromkeys(names or [], 0)
    for name in shown:
        counts[name] = counts.get(name, 0) + 1
    return counts
