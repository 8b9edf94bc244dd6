"""A table for people on a terminal, and for programs anywhere else."""

import sys
from collections.abc import Sequence

import typer


def show(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str] = ()) -> None:
    """Print a table: aligned on a terminal, numbers to the right; elsewhere a line for each row, its cells between tabs.

    ``left`` names the columns that hold words.
    """
    if not sys.stdout.isatty():
        for cells in (columns, *rows):
            typer.echo("\t".join(cells))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)


def size(count: int) -> str:
    """Bytes as people read them: 3.4 MiB."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
