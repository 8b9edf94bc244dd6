"""Suggest what to type where no usable labels were found. Every registered task is asked."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hubtl import plugins
from hubtl.data.columns import headers
from hubtl.data.sources import Domain
from hubtl.io.shown import typed
from hubtl.tasks import Task


def flags(columns: Sequence[str], options: Mapping[str, str]) -> str:
    """Return columns and options of a task as flags."""
    return " ".join(
        [f"--label-column {typed(','.join(columns))}", *(f"--set task.{k}={v}" for k, v in options.items())]
    )


def offered(task: Task, domain: Domain) -> tuple[list[str], dict[str, str]]:
    """Return columns that a task could read as labels if asked. The options to add come with them."""
    taken = [name for name in (*domain.columns.values(), domain.aside) if name is not None]
    rows = domain.train.remove_columns(headers(domain.train, taken))
    with contextlib.suppress(Exception):  # a hint: a task that fails has none
        columns, options = task.offer(rows)
        if columns:
            task.with_options(options).read([rows], columns, domain.facts.dataset, ["train"], None)
            return columns, options
    return [], {}


def readable(task: Task, domain: Domain, *, plain: bool = False) -> str | None:
    """Return the flags that let a task read the labels, or None. It is this task or another.

    Args:
        task: the task.
        domain: the data.
        plain: the command takes no options of a task.
    """
    found = []
    for other in (task, *_others(task)):
        columns, options = offered(other, domain)
        if columns and not (plain and options):
            found.append(("" if other is task else f"--task {other.name} ") + flags(columns, options))
    return ", or ".join(found) or None


def instead(task: Task, rows: Any, asked: Any, aside: str | None) -> str | None:
    """Return the tasks that could read these columns, as flags, or None."""
    found = []
    for other in _others(task):
        with contextlib.suppress(Exception):
            columns, _ = other.find(rows, asked, "", aside=aside)
            other.read([rows], columns, "", ["train"], None)
            found += [f"--task {other.name} {flags(columns, {})}"] if columns else []
    return ", or ".join(found) or None


def _others(task: Task) -> Iterator[Task]:
    for name in plugins.entries("tasks"):
        if name != task.name:
            with contextlib.suppress(Exception):
                made: Task = plugins.load("tasks", name)()
                yield made
