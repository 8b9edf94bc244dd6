"""``hubtl evaluate``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from hubtl.measure import Online
    from hubtl.record import SubsetScore


def evaluate(
    model: Annotated[str, typer.Argument(help="Run directory, Hub id (user/repo[@revision]) or model folder.")],
    dataset: Annotated[str, typer.Option("--dataset", "--target-dataset", help="Labelled images to evaluate on.")],
    split: Annotated[str | None, typer.Option("--split", help="Default: test, else validation.")] = None,
    domain_column: Annotated[str | None, typer.Option(help="Column that names the domain of a row.")] = None,
    domain: Annotated[str | None, typer.Option(help="Its value for the rows to evaluate.")] = None,
    image_column: Annotated[str | None, typer.Option()] = None,
    text_column: Annotated[str | None, typer.Option()] = None,
    audio_column: Annotated[str | None, typer.Option()] = None,
    label_column: Annotated[str | None, typer.Option()] = None,
    on_bad_sample: Annotated[Literal["error", "skip"], typer.Option()] = "error",
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    tta: Annotated[
        str | None,
        typer.Option(metavar="METHOD", help="Adapt to the rows on the way, each batch scored first: tent, …"),
    ] = None,
    tta_set: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Option of --tta; repeatable.")] = None,
    tta_reset_every: Annotated[
        int | None, typer.Option(min=0, help="Batches after which --tta starts anew; 0: never.")
    ] = None,
    tta_seed: Annotated[int, typer.Option(help="Of the order of the rows; -1: as they lie in the dataset.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Write the figures to this JSON file too.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q")] = False,
    debug: Annotated[bool, typer.Option("--debug")] = False,
) -> None:
    """Measure a model on labelled rows: accuracy, balanced accuracy, macro F1, calibration, per class.

    With --tta, beside the frozen model the same model that adapts to the rows as to a stream.
    """
    flags = dict(locals())
    from hubtl.cli.app import emit
    from hubtl.cli.messages import begin
    from hubtl.cli.rows import data_of

    begin(quiet=quiet or json_, debug=debug)
    from hubtl.cli.testtime import options_of
    from hubtl.measure import measure, measure_online

    options = options_of(tta, tta_set, tta_reset_every)
    where: dict[str, Any] = {"split": split, "domain": domain, "data": data_of(flags), "batch_size": batch_size}
    if tta is not None:
        found = measure_online(model, dataset, tta, options, seed=None if tta_seed < 0 else tta_seed, **where)
        if output is not None:
            output.write_text(json.dumps(found.as_dict(), indent=2) + "\n", encoding="utf-8")
        if json_:
            emit(found.as_dict())
        else:
            _show_online(found)
        return
    figures = measure(model, dataset, **where)
    if output is not None:
        output.write_text(figures.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if json_:
        emit(figures.model_dump(mode="json"))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for label, value in (
        ("accuracy", figures.accuracy),
        ("balanced accuracy", figures.balanced_accuracy),
        ("macro F1", figures.macro_f1),
        ("calibration error", figures.ece),
        *(
            (label, value)
            for label, value in (
                ("H-score", figures.hos),
                ("known recall", figures.known_recall),
                ("unknown recall", figures.unknown_recall),
            )
            if value is not None
        ),
    ):
        console.print(f"{label:<18} " + ("not measured" if value is None else f"{100 * value:5.1f} %"), highlight=False)
    console.print(f"{'rows':<18} {figures.n:>5}\n", highlight=False)
    table = Table(box=None, pad_edge=False)
    for column in ("class", "rows", "recall", "precision", "F1"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for score in figures.per_class:
        cells = (score.recall, score.precision, score.f1)
        table.add_row(score.name, str(score.n), *("–" if c is None else f"{100 * c:.1f}" for c in cells))
    if figures.per_class:
        console.print(table)
    if figures.subsets:
        _show_subsets(console, figures.subsets)


def _show_subsets(console: "Console", subsets: "list[SubsetScore]") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("rows with")
    table.add_column("accuracy", justify="right")
    for subset in subsets:
        table.add_row(subset.name, "not measured" if subset.accuracy is None else f"{100 * subset.accuracy:.1f} %")
    console.print()
    console.print(table)


def _show_online(found: "Online") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("", "frozen", f"{found.method}, online"):
        table.add_column(column, justify="right" if column else "left")
    for label, name in (
        ("accuracy", "accuracy"),
        ("balanced accuracy", "balanced_accuracy"),
        ("macro F1", "macro_f1"),
        ("calibration error", "ece"),
    ):
        values = (getattr(found.frozen, name), getattr(found.online, name))
        table.add_row(label, *("not measured" if v is None else f"{100 * v:.1f} %" for v in values))
    console, stats = Console(), found.stats
    console.print(table)
    console.print(
        f"\n{stats.rows} rows in {stats.batches} batches, each scored before the model learnt from it; "
        f"learnt from {stats.learnt} rows; resets: {stats.resets}, of them on collapse: {stats.collapses}",
        highlight=False,
    )
