"""``hubtl evaluate``."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def evaluate(
    model: Annotated[str, typer.Argument(help="Run directory, Hub id (user/repo[@revision]) or model folder.")],
    dataset: Annotated[str, typer.Option("--dataset", "--target-dataset", help="Labelled images to evaluate on.")],
    split: Annotated[str | None, typer.Option("--split", help="Default: test, else validation.")] = None,
    domain_column: Annotated[str | None, typer.Option(help="Column that names the domain of a row.")] = None,
    domain: Annotated[str | None, typer.Option(help="Its value for the rows to evaluate.")] = None,
    image_column: Annotated[str | None, typer.Option()] = None,
    label_column: Annotated[str | None, typer.Option()] = None,
    on_bad_sample: Annotated[Literal["error", "skip"], typer.Option()] = "error",
    batch_size: Annotated[int, typer.Option()] = 64,
    output: Annotated[Path | None, typer.Option(help="Write the figures to this JSON file too.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q")] = False,
    debug: Annotated[bool, typer.Option("--debug")] = False,
) -> None:
    """Measure a model on labelled images: accuracy, balanced accuracy, macro F1, calibration, per class."""
    from hubtl.cli.app import emit
    from hubtl.cli.messages import begin

    begin(quiet=quiet or json_, debug=debug)
    from hubtl.measure import measure

    data: dict[str, Any] = {
        "domain_column": domain_column,
        "image_column": image_column,
        "label_column": label_column,
        "on_bad_sample": on_bad_sample,
    }
    figures = measure(model, dataset, split=split, domain=domain, data=data, batch_size=batch_size)
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
