"""``hubtl diff``."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from hubtl.record import Difference, Evaluation


def diff(
    first: Annotated[str, typer.Argument(help="Run directory, Hub id (user/repo[@revision]) or model folder.")],
    second: Annotated[str, typer.Argument(help="The same: what is compared with it.")],
    dataset: Annotated[str, typer.Option("--dataset", "--target-dataset", help="Labelled rows to compare them on.")],
    split: Annotated[str | None, typer.Option(help="Default: test, else validation.")] = None,
    domain_column: Annotated[str | None, typer.Option(help="Column that names the domain of a row.")] = None,
    domain: Annotated[str | None, typer.Option(help="Its value for the rows to compare on.")] = None,
    image_column: Annotated[str | None, typer.Option()] = None,
    text_column: Annotated[str | None, typer.Option()] = None,
    audio_column: Annotated[str | None, typer.Option()] = None,
    label_column: Annotated[str | None, typer.Option()] = None,
    on_bad_sample: Annotated[Literal["error", "skip"], typer.Option()] = "error",
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q")] = False,
    debug: Annotated[bool, typer.Option("--debug")] = False,
) -> None:
    """Compare two models on the same labelled rows, class by class, with an interval of the difference."""
    flags = dict(locals())
    from hubtl.cli.messages import begin, emit
    from hubtl.cli.rows import data_of

    begin(quiet=quiet or json_, debug=debug)
    from hubtl.studies.evaluate import measure_two

    where: dict[str, Any] = {"split": split, "domain": domain, "data": data_of(flags), "batch_size": batch_size}
    one, other, apart = measure_two(first, second, dataset, **where)
    if json_:
        shown = None if apart is None else apart.model_dump(mode="json")
        emit({"first": one.model_dump(mode="json"), "second": other.model_dump(mode="json"), "difference": shown})
        return
    _show(first, second, one, other, apart)


def _show(first: str, second: str, one: "Evaluation", other: "Evaluation", apart: "Difference | None") -> None:
    from hubtl.card.wording import points, signed, unscored
    from hubtl.cli.table import Screen, Words

    console = Screen()
    console.print(f"A  {first}\nB  {second}\n")
    table = Words()
    for column in ("", "rows", "A", "B", "B − A"):
        table.add_column(column, justify="right" if column else "left")
    titles = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}
    lines = [(title, str(one.n), getattr(one, name), getattr(other, name)) for name, title in titles.items()]
    lines.append(("calibration error", str(one.n), one.ece, other.ece))
    known = {score.name: score.recall for score in other.per_class}
    classes = [(f"recall of {s.name}", str(s.n), s.recall, known.get(s.name)) for s in one.per_class if s.n]
    classes.sort(key=lambda line: (line[3] or 0.0) - (line[2] or 0.0))
    for title, rows, before, after in [*lines, *classes]:
        cells = ("–" if v is None else f"{100 * v:.1f} %" for v in (before, after))
        table.add_row(title, rows, *cells, points(before, after))
    console.print(table)
    for name, figures in (("A", one), ("B", other)):
        if aside := unscored(figures):
            typer.echo(f"not scored by {name}: {aside}")
    if apart is None:
        typer.echo("\nThe models do not know the same classes: their figures are of other rows.")
        return
    said = "B is better" if apart.low > 0 else "A is better" if apart.high < 0 else "the rows do not tell them apart"
    interval = f"{signed(100 * apart.low)} to {signed(100 * apart.high)} points (95 %, the same rows)"
    typer.echo(f"\naccuracy, B − A: {interval}: {said}")
