"""Open ``--source-dataset`` and ``--target-dataset``: two splits with known columns."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from datasets import Dataset

from hubtl.data import columns, content, slices
from hubtl.data.cells import Wanted
from hubtl.data.labels import Labels
from hubtl.data.opening import opened
from hubtl.data.origin import select
from hubtl.errors import HubtlError
from hubtl.plugins.modalities import USUAL, of
from hubtl.recipe.schema import DataSection, DomainSection, SourceSection
from hubtl.record import DomainFacts, Outputs
from hubtl.settings import logger


class Reader(Protocol):
    """Read labels; ``hubtl.tasks.Task`` documents each member."""

    def folder(self, path: Path, wanted: Wanted) -> Any: ...

    def beside(self, dataset: str) -> "Reader": ...

    def find(self, dataset: Any, asked: Any, where: str, aside: str | None = None) -> tuple[list[str], list[str]]: ...

    def read(
        self, parts: Sequence[Any], columns: Sequence[str], where: str, called: Sequence[str], known: Outputs | None
    ) -> Labels: ...

    def unlabelled(self, labels: np.ndarray) -> np.ndarray: ...

    def strata(self, dataset: Any, columns: Sequence[str]) -> np.ndarray | None: ...

    def check_source(self, labels: np.ndarray, outputs: Outputs, where: str) -> dict[str, int]: ...


@dataclass(frozen=True)
class Domain:
    """Hold a source or a target: training rows, evaluation rows, and the meaning of columns.

    ``labels`` and ``eval_labels`` are in the task's own type, and None where no row has a label. A target's are read to
    find the rows that can be scored; a stream is made without them wherever a method may not see labels.
    """

    train: Dataset
    eval: Dataset
    columns: dict[str, str]  # modality -> column
    label_columns: list[str]  # none where no row has a label
    outputs: Outputs | None  # what the labels mean
    facts: DomainFacts
    task: Reader
    domains: np.ndarray | None = None  # [n] of several: which one a training row is of
    eval_domains: np.ndarray | None = None
    labels: np.ndarray | None = None  # [n] of the training rows
    eval_labels: np.ndarray | None = None
    passed: tuple[str, ...] = ()  # columns that could be the labels', and why they are not
    aside: str | None = None  # the column that names domains

    def labelled(self) -> "Domain":
        """Return the domain without unlabelled training rows. It is for a method that learns from labels."""
        if self.labels is None or not (without := self.task.unlabelled(self.labels)).any():
            return self
        rows = np.flatnonzero(~without)
        logger.info(
            "%s: %d training rows without a label are left out", self.facts.dataset, len(self.labels) - len(rows)
        )
        domains = None if self.domains is None else self.domains[rows]
        facts = self.facts.model_copy(update={"rows": len(rows)})
        return replace(self, train=select(self.train, rows), labels=self.labels[rows], domains=domains, facts=facts)


@dataclass(frozen=True)
class _Found:
    """Hold the labels of training rows and of evaluation rows. They are a domain's."""

    rows: Dataset | None = None
    columns: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    outputs: Outputs | None = None
    train: np.ndarray | None = None  # None where no row has a label
    eval: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def open_domain(
    section: DomainSection | SourceSection,
    data: DataSection,
    task: Reader,
    *,
    role: str,
    modalities: Sequence[str] = (USUAL,),
    known: Outputs | None = None,
    instead: Callable[[Dataset, Any, str | None], str | None] | None = None,
) -> Domain:
    """Open a domain, or several domains of one dataset together.

    Training rows default to the split ``train`` (or the only one). Evaluation rows default to the first of ``test`` and
    ``validation`` that has labels. Otherwise a fifth of the training rows is held out, the same rows in every run. Rows
    of a source without a label are left out.

    Args:
        section: the recipe's section ``source`` or ``target``.
        data: the recipe's section ``data``.
        task: reads the labels.
        role: ``source`` or ``target``.
        modalities: the modalities of the model.
        known: outputs of the source, or of the model that this domain is for.
        instead: returns a hint where the requested columns cannot be read by ``task``.

    Raises:
        HubtlError: with what is missing.
    """
    where = f"the {role} {section.dataset!r}"
    columns.check_taken(data.columns, modalities)
    asked = {m: (data.columns or {}).get(m) for m in modalities}
    named = () if section.domain is None or data.domain_column else section.domain
    wanted = Wanted(
        *(tuple(modalities), asked),
        lenient=data.on_bad_sample == "skip",
        domains=(named,) if isinstance(named, str) else tuple(named),
        folder=task.folder,
    )
    task = task.beside(section.dataset)
    source = opened(section.dataset, wanted)
    if source.domain_column is not None:  # of folders which are domains
        data = data.model_copy(update={"domain_column": source.domain_column})
    train_name = slices.training(source.splits, section.split, where, role)

    def part(name: str, flag: str) -> Dataset:
        rows = slices.taken(source.splits, name, where, flag)
        rows = slices.of_domain(rows, data.domain_column, section.domain, where, role)
        if len(rows) == 0:
            raise HubtlError(f"{where}: split {name} is empty", hint=f"--{role}-split, or other data")
        return rows

    train = part(train_name, f"--{role}-split")
    held = {m: str(of(m).column(train, asked[m], where)) for m in modalities}
    tried = [section.eval_split] if section.eval_split else slices.evaluated(source.splits, train_name)
    met: dict[str, _Found] = {}
    for name in tried:
        rows = _headed(part(name, f"--{role}-eval-split"), held.values(), where, name, role)
        met[name] = found = _labels(task, train, rows, data, where, (train_name, name), known, instead)
        if found.eval is not None:
            break
    labelled = [name for name, known in met.items() if known.eval is not None]
    without_labels = [name for name, known in met.items() if section.eval_split or known.train is None]
    eval_name = next(iter([*labelled, *without_labels]), None)
    found = met[eval_name] if eval_name else _labels(task, train, None, data, where, (train_name, ""), known, instead)
    evaluated = found.rows
    shown = eval_name or f"{slices.EVAL_SHARE:.0%} of split {train_name}"
    for name in (name for name in met if name != eval_name):
        logger.info("%s: no row of split %s has a label: %s is evaluated", where, name, shown)
    for note in (*found.passed, *found.notes):
        logger.info("%s: %s", where, note)
    labels, eval_labels, without = found.train, found.eval, _without(task, found.train)
    if without:
        logger.info(
            "%s: %d of %d training rows have no label%s",
            *(where, without, len(train), ": they are left out" if role == "source" else ""),
        )
    if role == "source" and labels is not None:
        rows_with = np.flatnonzero(~task.unlabelled(labels))
        train, labels = _selected(train, labels, rows_with)
    if evaluated is None:
        strata = None if labels is None else task.strata(train, found.columns)
        keep, cut_off = slices.cut(len(train), strata, labelled=None if labels is None else ~task.unlabelled(labels))
        evaluated, eval_labels = _selected(train, labels, cut_off)
        train, labels = _selected(train, labels, keep)
        eval_name = slices.cut_off(train_name)
    hidden = _without(task, eval_labels)
    if role == "source" and eval_labels is not None:
        evaluated, eval_labels = _selected(evaluated, eval_labels, np.flatnonzero(~task.unlabelled(eval_labels)))
    if hidden:
        every = len(evaluated) + (hidden if role == "source" else 0)
        logger.info("%s: %d of %d evaluation rows have no label and are not scored", where, hidden, every)
    if len(evaluated) == 0 or len(train) == 0:
        raise HubtlError(f"{where}: split {train_name} has too few rows", hint=f"--{role}-split, or other data")
    counts: dict[str, int] = {}
    if role == "source" and labels is not None and found.outputs is not None:
        counts = task.check_source(labels, found.outputs, where)
    several = section.domain if isinstance(section.domain, list) else []
    domains, eval_domains = (slices.numbers(rows, data.domain_column, several) for rows in (train, evaluated))
    facts = DomainFacts(
        dataset=source.shown,
        hub_id=source.hub_id,
        config=source.config,
        revision=source.revision,
        license=source.license,
        fingerprint=content.mark([train, evaluated], [*held.values(), *found.columns]),
        domain=" + ".join(several) if several else section.domain,
        domains=several,
        split=train_name,
        eval_split=eval_name,
        rows=len(train),
        eval_rows=len(evaluated),
        labelled=bool(found.columns),
        eval_labelled=eval_labels is not None,
        unlabelled_rows=without,
        eval_unlabelled_rows=hidden,
        label_counts=counts,
        columns=held | ({"label": ", ".join(found.columns)} if found.columns else {}),
    )
    own = (domains, eval_domains, labels, eval_labels, found.passed, data.domain_column)
    return Domain(train, evaluated, held, list(found.columns), found.outputs, facts, task, *own)


def _labels(
    task: Reader,
    train: Dataset,
    rows: Dataset | None,
    data: DataSection,
    where: str,
    called: tuple[str, str],
    known: Outputs | None,
    instead: Callable[[Dataset, Any, str | None], str | None] | None,
) -> _Found:
    """Return two splits' labels, and the second split's rows. They are under the headers of the first.

    The columns are found in the training rows, else in the others: an unlabelled target may have a labelled test split.
    """
    asked, aside = data.label_column, data.domain_column
    try:
        return _read_labels(task, train, rows, data, where, called, known)
    except HubtlError as error:
        if asked is not None and instead is not None:
            there = rows if rows is not None and not columns.headers(train, asked) else train
            if other := instead(there, asked, aside):
                error.hint = f"{other}, or {error.hint}" if error.hint else other
        raise


def _read_labels(
    task: Reader,
    train: Dataset,
    rows: Dataset | None,
    data: DataSection,
    where: str,
    called: tuple[str, str],
    known: Outputs | None,
) -> _Found:
    asked, aside = data.label_column, data.domain_column
    if asked is not None and rows is not None and not columns.headers(train, asked) and columns.headers(rows, asked):
        found, passed = task.find(rows, asked, where)
    else:
        found, passed = task.find(train, asked, where, aside=aside)
        if not found and rows is not None:
            found, more = task.find(rows, None, where, aside=aside)
            passed = list(dict.fromkeys([*passed, *more]))
    if not found:
        return _Found(rows, passed=tuple(passed))
    for column in found:
        there = None if rows is None else columns.header(rows, column)
        if rows is not None and there is not None and there != column:
            rows = rows.rename_column(there, column)
    pairs = zip((train, rows), called, strict=True)
    parts = [(part, name) for part, name in pairs if part and all(column in part.features for column in found)]
    read = task.read([part for part, _ in parts], found, where, [name for _, name in parts], known)
    values = dict(zip((name for _, name in parts), read.values, strict=True))
    own, other = (v if v is not None and not task.unlabelled(v).all() else None for v in map(values.get, called))
    if own is None and other is None:
        shown = " and ".join(f"{column!r}" for column in found)
        what = f"column {shown} has" if len(found) == 1 else f"columns {shown} have"
        return _Found(rows, passed=(*passed, f"{what} no label in any row", *read.notes))
    return _Found(rows, tuple(found), tuple(passed), read.outputs, own, other, tuple(read.notes))


def _headed(rows: Dataset, names: Iterable[str], where: str, split: str, role: str) -> Dataset:
    """Return a split under the training rows' headers. Headers may differ in case."""
    for name in names:
        there = columns.header(rows, name)
        if there is None:
            raise HubtlError(f"{where}: split {split} has no column {name}", hint=f"--{role}-eval-split")
        rows = rows if there == name else rows.rename_column(there, name)
    return rows


def _selected(rows: Dataset, codes: np.ndarray | None, chosen: np.ndarray) -> tuple[Dataset, np.ndarray | None]:
    return rows if len(chosen) == len(rows) else select(rows, chosen), None if codes is None else codes[chosen]


def _without(task: Reader, labels: np.ndarray | None) -> int:
    """Count the rows without a label, where others have one."""
    return 0 if labels is None else int(task.unlabelled(labels).sum())
