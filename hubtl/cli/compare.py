"""``hubtl compare``."""

from pathlib import Path
from typing import Annotated, Any

import typer

DATA, TRAIN, OUT = "Data", "Training", "Output"


def compare(
    recipe: Annotated[Path | None, typer.Argument(help="A recipe in YAML; flags change it.")] = None,
    strategies: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Names, separated by commas; source-only is always there.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Train the backbone too, not only what lies on its features.")
    ] = False,
    oracle: Annotated[
        bool, typer.Option("--oracle", help="Show the figure on the target's labels. It ranks nothing.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="As in hubtl adapt.")] = None,
    pretrained: Annotated[bool | None, typer.Option("--pretrained/--no-pretrained")] = None,
    image_size: Annotated[int | None, typer.Option()] = None,
    source_dataset: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    source_domain: Annotated[list[str] | None, typer.Option(rich_help_panel=DATA)] = None,
    target_dataset: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    target_domain: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    domain_column: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column of the labels; several with commas between.", rich_help_panel=DATA)
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="What the labels are: classification, multi-label, regression, …: hubtl list tasks.",
            rich_help_panel=DATA,
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Updates of each strategy.", rich_help_panel=TRAIN)] = None,
    batch_size: Annotated[int | None, typer.Option(rich_help_panel=TRAIN)] = None,
    lr: Annotated[float | None, typer.Option(rich_help_panel=TRAIN)] = None,
    seed: Annotated[int | None, typer.Option(rich_help_panel=TRAIN)] = None,
    device: Annotated[str | None, typer.Option(rich_help_panel=TRAIN)] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any recipe key; repeatable.")
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(help="Default: runs/compare-MODEL-TARGET. Called again, it goes on.", rich_help_panel=OUT),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.", rich_help_panel=OUT)] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel=OUT)] = False,
    debug: Annotated[bool, typer.Option("--debug", rich_help_panel=OUT)] = False,
) -> None:
    """Train several strategies on the same data and rank them without target labels."""
    given = dict(locals())
    from hubtl.cli.messages import begin, typed

    begin(quiet=quiet or json_, debug=debug)
    from hubtl.cli.messages import emit
    from hubtl.engine.stop import Interrupted
    from hubtl.errors import HubtlError
    from hubtl.recipe.flags import KEYS
    from hubtl.recipe.reading import merge, parse, parse_set, read
    from hubtl.settings import is_main_process
    from hubtl.signals import exit_code
    from hubtl.studies import compare as comparison

    flags = {k: v for k, v in given.items() if k in KEYS and k != "output_dir" and v is not None and v != []}
    changes: dict[str, Any] = {KEYS[name]: value for name, value in flags.items()}
    raw = merge(merge(read(recipe) if recipe else {}, changes), parse_set(set_ or []))
    if not raw.get("target"):
        raise HubtlError(
            "no target: nothing says what to adapt to",
            hint="hubtl compare --model resnet50 --source-dataset user/a --target-dataset user/b",
        )
    names = [name.strip() for name in strategies.split(",") if name.strip()] if strategies else None
    where = str(recipe) if recipe else "the command line"
    try:
        outcome = comparison.compare(
            parse(raw, where=where), names, folder=output_dir, full=full, oracle=oracle, command=typed()
        )
    except Interrupted as stop:
        typer.echo(f"stopped after a checkpoint; go on with: {typed()}", err=True)
        raise typer.Exit(exit_code(stop)) from None
    if not is_main_process():
        return
    if json_:
        emit(outcome.summary())
    else:
        _show(outcome)


def _show(outcome: Any) -> None:
    from hubtl.cli.table import Screen, Words, figure

    table = Words()
    table.add_column("")
    table.add_column("strategy")
    table.add_column("agreement", justify="right")
    table.add_column("beside source-only")
    table.add_column("seconds", justify="right")
    if outcome.oracle:
        known = next((e.primary.shown for e in outcome.entrants if e.primary), "figures")
        table.add_column(f"target {known} (oracle)", justify="right")
    for place, entrant in enumerate(outcome.entrants, 1):
        beside = entrant.answer or "–"
        if entrant.failed or entrant.refused:
            beside = entrant.failed or entrant.reason
        row = [str(place), entrant.strategy, "–" if entrant.merit is None else f"{entrant.merit:.1f}", beside]
        row.append(f"{entrant.seconds:.1f}")
        if outcome.oracle:
            row.append(figure(entrant.primary))
        table.add_row(*row)
    console = Screen()
    console.print(table)
    voters = ", ".join(outcome.voters) or "no validator"
    console.print(
        f"agreement: {'mean rank' if len(outcome.voters) > 1 else 'rank'} by {voters}, highest best; "
        "rows set aside for the reason shown come last; no target label was read",
        soft_wrap=True,
    )
    console.print(f"all scores: {outcome.output_dir}/compare.json", soft_wrap=True)
    console.print(f"the best: {outcome.output_dir}/{outcome.best}/README.md", soft_wrap=True)
