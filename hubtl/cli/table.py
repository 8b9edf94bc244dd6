"""Print tables for people on a terminal, and for programs elsewhere."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from hubtl.io import shown

if TYPE_CHECKING:
    from hubtl.record import Metric


class Words(Table):
    """Print a table of plain words, without interpreting styles in them."""

    def __init__(self, *columns: str) -> None:
        super().__init__(*columns, box=None, pad_edge=False)

    def add_column(self, header: Any = "", *rest: Any, **how: Any) -> None:
        super().add_column(shown.line(header), *rest, **how)

    def add_row(self, *cells: Any, **how: Any) -> None:
        super().add_row(*map(shown.line, cells), **how)


class Screen(Console):
    """Print tables and words on stdout, without interpreting styles in them."""

    def __init__(self) -> None:
        super().__init__(file=shown.stdout(), markup=False, highlight=False, emoji=False)

    def print(self, *objects: Any, **how: Any) -> None:
        """Print tables, and words on as many lines as they have."""
        super().print(*(shown.lines(o) if isinstance(o, str) else o for o in objects), **how)


def show(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str] = ()) -> None:
    """Print a table: aligned on a terminal, with numbers to the right; elsewhere tab-separated.

    ``left`` names the columns that hold words.
    """
    if not sys.stdout.isatty():
        for cells in (columns, *rows):
            typer.echo("\t".join(map(shown.line, cells)))
        return
    table = Words()
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Screen().print(table)


def size(count: int) -> str:
    """Format bytes for people: 3.4 MiB."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def figure(metric: "Metric | None", number: float | None = None) -> str:
    """Format a metric for a terminal: ``87.3 %``; ``number`` replaces its value."""
    from hubtl.card import metrics

    return metrics.value(metric, number).replace("%", " %")


def figure_or(metric: "Metric | None", number: float | None, instead: str = "not measured") -> str:
    """Format a number that may be missing."""
    return instead if number is None else figure(metric, number)
