"""Compare strategies (``hubtl compare``)."""

from pathlib import Path
from typing import Annotated, Any

import typer

DATA, TRAIN, OUT = "Data", "Training", "Output"


def compare(
    recipe: Annotated[Path | None, typer.Argument(help="Recipe in YAML. Flags override its keys.")] = None,
    strategies: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="Strategies, separated by commas. source-only is always included."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Train the backbone, too, instead of using its frozen features.")
    ] = False,
    oracle: Annotated[
        bool, typer.Option("--oracle", help="Report the metric on target labels, which does not affect the ranking.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="Model, as in hubtl adapt.")] = None,
    pretrained: Annotated[
        bool | None,
        typer.Option("--pretrained/--no-pretrained", help="Load pretrained weights, or start from random ones."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the square input in pixels. Default: the model's own.")
    ] = None,
    source_dataset: Annotated[
        str | None,
        typer.Option(rich_help_panel=DATA, help="Labelled source: Hub dataset, folder, file, or builtin:digits/mnist."),
    ] = None,
    source_domain: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=DATA,
            metavar="VALUE",
            help="Domain: value of its column, or folder, for the source. Repeat for several sources.",
        ),
    ] = None,
    target_dataset: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=DATA, help="Target to adapt to: Hub dataset, folder, file, or builtin:digits/uci."
        ),
    ] = None,
    target_domain: Annotated[
        str | None,
        typer.Option(rich_help_panel=DATA, help="Domain: value of its column, or folder, for the target."),
    ] = None,
    domain_column: Annotated[
        str | None, typer.Option(rich_help_panel=DATA, help="Column that names the domain of each row.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODALITY=NAME", help="Column of a modality, such as image=photo. Repeatable.", rich_help_panel=DATA
        ),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            help="Column of labels, or several separated by commas. Default: found by its type.", rich_help_panel=DATA
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Task: classification, multi-label, regression (see hubtl list tasks).",
            rich_help_panel=DATA,
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Number of updates of each strategy.", rich_help_panel=TRAIN)
    ] = None,
    batch_size: Annotated[int | None, typer.Option(rich_help_panel=TRAIN, help="Batch size per stream.")] = None,
    lr: Annotated[
        float | None, typer.Option(rich_help_panel=TRAIN, help="Learning rate of new layers. Default: the strategy's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(rich_help_panel=TRAIN, help="Random seed.")] = None,
    device: Annotated[
        str | None, typer.Option(rich_help_panel=TRAIN, help="Device: cpu, cuda or mps. Default: the best available.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set any recipe key or strategy option. Repeatable."),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(
            help="Output directory. Default: runs/compare-MODEL-TARGET. Run again to continue.", rich_help_panel=OUT
        ),
    ] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout.", rich_help_panel=OUT)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", rich_help_panel=OUT, help="Print warnings and errors only.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", rich_help_panel=OUT, help="Print tracebacks and details.")] = False,
) -> None:
    """Compare strategies on the same data, without target labels.

    By default the backbone is frozen, and every strategy reads the same cached features.
    """
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
        typer.echo(f"stopped after a checkpoint; continue with: {typed()}", err=True)
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
