"""Compare two models (``hubtl diff``)."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from hubtl.record import Difference, Evaluation


def diff(
    first: Annotated[str, typer.Argument(help="Run directory, Hub id (user/repo[@revision]) or model folder.")],
    second: Annotated[str, typer.Argument(help="Model to compare with the first.")],
    dataset: Annotated[str, typer.Option("--dataset", "--target-dataset", help="Labelled dataset to compare on.")],
    split: Annotated[
        str | None, typer.Option(help="Split to compare on. Default: test, else validation, else a fifth of train.")
    ] = None,
    domain_column: Annotated[str | None, typer.Option(help="Column that names the domain of each row.")] = None,
    domain: Annotated[
        str | None,
        typer.Option(help="Domain: value of its column, or folder, for the rows to compare on."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="MODALITY=NAME", help="Column of a modality, such as image=photo. Repeatable."),
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column of labels, or several separated by commas. Default: found by its type.")
    ] = None,
    on_bad_sample: Annotated[
        Literal["error", "skip"], typer.Option(help="Fail on unreadable inputs, or skip them.")
    ] = "error",
    batch_size: Annotated[int, typer.Option(min=1, help="Rows per batch.")] = 64,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Compare two models on the same labelled rows.

    It prints the metrics of both, by class or output, and an interval of the difference.
    """
    flags = dict(locals())
    from hubtl.cli.messages import begin, emit
    from hubtl.cli.rows import data_of

    begin(quiet=quiet or json_, debug=debug)
    from hubtl.studies.evaluate import measure_two

    where: dict[str, Any] = {"split": split, "domain": domain, "data": data_of(flags), "batch_size": batch_size}
    one, other, apart = measure_two(first, second, dataset, **where)
    if json_:
        shown = None if apart is None else apart.model_dump(mode="json")
        emit({"first": one.flat(), "second": other.flat(), "difference": shown})
        return
    _show(first, second, one, other, apart)


def _show(first: str, second: str, one: "Evaluation", other: "Evaluation", apart: "Difference | None") -> None:
    from hubtl.card.metrics import change, gain
    from hubtl.card.wording import unscored
    from hubtl.cli.table import Screen, Words, figure_or

    console = Screen()
    console.print(f"A  {first}\nB  {second}\n")
    table = Words()
    for column in ("", "rows", "A", "B", "B − A"):
        table.add_column(column, justify="right" if column else "left")
    lines = [(m.shown, one.n, m, _of(other, m.name)) for m in (one.figures.rows() if one.figures else [])]
    known = {group.name: group for group in (other.figures.groups() if other.figures else [])}
    groups = [
        (
            f"{g.metrics[0].shown} of {g.name}",
            g.n,
            g.metrics[0],
            known[g.name].metrics[0].value if g.name in known else None,
        )
        for g in (one.figures.groups() if one.figures else [])
        if g.n and g.metrics
    ]
    groups.sort(key=lambda line: ((line[3] or 0.0) - (line[2].value or 0.0)) * (1 if line[2].higher_is_better else -1))
    for title, rows, metric, after in [*lines, *groups]:
        cells = (figure_or(metric, v, "–") for v in (metric.value, after))
        table.add_row(title, str(rows), *cells, change(metric, metric.value, after))
    console.print(table)
    for name, figures in (("A", one), ("B", other)):
        if aside := unscored(figures):
            typer.echo(f"not scored by {name}: {aside}")
    if apart is None:
        typer.echo("\nThe models do not answer with the same names: their figures are of other rows.")
        return
    primary = one.primary
    up = primary is None or primary.higher_is_better
    better, worse = ("B", "A") if up else ("A", "B")
    said = (
        f"{better} is better"
        if apart.low > 0
        else f"{worse} is better"
        if apart.high < 0
        else "the rows show no difference"
    )
    interval = f"{gain(primary, apart.low, apart.high)} (95 %, the same rows)"
    typer.echo(f"\n{primary.shown if primary else 'figures'}, B − A: {interval}: {said}")


def _of(evaluation: "Evaluation", name: str) -> float | None:
    """Return a figure of the other model by its name."""
    rows = evaluation.figures.rows() if evaluation.figures else []
    return next((metric.value for metric in rows if metric.name == name), None)
