"""Search for hyperparameters (``hubtl tune``)."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hubtl.io import shown


def tune(
    recipe: Annotated[Path, typer.Argument(help="Recipe in YAML. A mapping tune: in it works as --search.")],
    trials: Annotated[int, typer.Option(min=1, help="Total number of trials. Run again to continue.")] = 20,
    search: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=LOW:HIGH[:log]",
            help="Search this range. Repeatable. Default: learning rate, weight decay and options.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set any recipe key or strategy option. Repeatable."),
    ] = None,
    validator: Annotated[
        str | None, typer.Option(help="Score to maximise (see hubtl list validators). Default: the task's.")
    ] = None,
    oracle: Annotated[bool, typer.Option("--oracle", help="Allow a score that reads target labels.")] = False,
    output_dir: Annotated[
        Path | None, typer.Option(help="Output directory. Default: runs/MODEL-STRATEGY-TARGET-tune.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Search for the best hyperparameters, without target labels."""
    from hubtl.cli.messages import begin, emit

    begin(quiet=quiet or json_, debug=debug)
    from hubtl.engine.stop import Interrupted
    from hubtl.recipe.reading import merge, parse_set, read
    from hubtl.signals import exit_code
    from hubtl.studies.tune import tune as run_search

    raw = merge(read(recipe), parse_set(set_ or []))
    try:
        found = run_search(
            raw,
            trials=trials,
            search=search or [],
            validator=validator,
            oracle=oracle,
            output_dir=output_dir,
            shown=not (quiet or json_) and sys.stderr.isatty(),  # elsewhere a line a trial is enough
        )
    except Interrupted as stop:
        typer.echo("stopped; the same command continues the search", err=True)
        raise typer.Exit(exit_code(stop)) from None
    if json_:
        emit(found.summary())
        return
    _table(found, trials)


def _table(found: Any, trials: int) -> None:
    """Print all trials, ranked."""
    from hubtl.cli.table import Screen, Words
    from hubtl.studies.journal import source_score

    console = Screen()
    if not console.is_terminal:
        console.width = 240  # a pipe has no edge to wrap at
    keys = list(found.trials[0]["parameters"])
    table = Words()
    for column in ("rank", "trial", found.objective + (" (oracle)" if found.oracle else ""), "source", *keys, ""):
        table.add_column(column, justify="right", no_wrap=True)
    for rank, trial in enumerate(found.trials, 1):
        score = "–" if trial["score"] is None else f"{trial['score']:.4f}"
        guard = source_score(trial["guard"]) or ""
        kept = trial["guard"].get(guard)
        values = [f"{trial['parameters'].get(key, float('nan')):.4g}" for key in keys]
        share = guard != "source-score"  # the score of another task may be below 0, as R² may
        source = "–" if kept is None else f"{100 * kept:.1f} %" if share else f"{kept:.3f}"
        table.add_row(str(rank), str(trial["order"]), score, source, *values, trial["refused"] or "")
    console.print(table)
    if found.oracle:
        console.print("oracle: target labels were read; without them this score is not available", style="bold")
    if found.best is None:
        console.print("no trial passed the guard rails: no recipe is written")
        return
    console.print(f"best recipe: hubtl adapt {shown.typed(found.output_dir / 'recipe.yaml')}", soft_wrap=True)
