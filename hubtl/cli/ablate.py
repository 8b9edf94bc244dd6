"""Ablate a run's method (``hubtl ablate``)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hubtl.record import RunRecord


def ablate(
    run_dir: Annotated[Path, typer.Argument(help="Output directory of a finished run.")],
    without: Annotated[
        list[str] | None, typer.Option(metavar="PART", help="Leave out this part. Repeatable. Default: each in turn.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the parts of the run's method and stop.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Retrain a run without each part of its method.

    The results are added to the run's record and card.
    """
    from hubtl.cli.messages import begin, typed

    begin(quiet=quiet or json_, debug=debug)
    from hubtl.cli.messages import emit
    from hubtl.engine.stop import Interrupted
    from hubtl.settings import is_main_process
    from hubtl.signals import exit_code
    from hubtl.studies import ablate as ablation

    if list_:
        declared = ablation.parts(run_dir)
        if json_:
            emit(declared)
            return
        for name, changes in declared.items():
            typer.echo(f"{name:<24} " + ", ".join(f"{key}={value}" for key, value in changes.items()))
        return
    command = typed()
    try:
        record = ablation.ablate(run_dir, without or (), command=command)
    except Interrupted as stop:
        typer.echo(f"stopped after a checkpoint; continue with: {command}", err=True)
        raise typer.Exit(exit_code(stop)) from None
    if not is_main_process():
        return
    if json_:
        emit({"ablation": [found.model_dump(mode="json") for found in record.ablation]})
        return
    _show(record)
    typer.echo(f"\ncard       {run_dir / 'README.md'}")


def _show(record: "RunRecord") -> None:
    from hubtl.card import comparison
    from hubtl.card.metrics import called, change, value
    from hubtl.cli.table import Screen, Words

    found = comparison.ablation(record)
    shown = [i for i, column in enumerate(found.columns) if column.startswith("without")]  # the card has all
    table = Words()
    table.add_column("", no_wrap=True)
    metric = record.adapted.primary if record.adapted else None
    for column in (called(metric), "difference", *(found.columns[i] for i in shown)):
        table.add_column(column, justify="right", min_width=6)
    for line in found.lines:
        cells = [value(metric, line.cells[i]) for i in shown]
        table.add_row(line.name, value(metric, line.value), change(metric, found.lines[0].value, line.value), *cells)
    Screen().print(table)
