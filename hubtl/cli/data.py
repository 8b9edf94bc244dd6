"""Inspect datasets (``hubtl data``)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubtl.io import shown

if TYPE_CHECKING:
    from hubtl.studies.inspection.facts import Inspection, Row, SplitFacts, Spread

group = typer.Typer(
    help="Inspect datasets before training.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)
LISTED = 5  # rows of each kind on a terminal; --json and inspection.json have more


@group.command("inspect")
def inspect(
    dataset: Annotated[str, typer.Argument(help="Dataset, as --source-dataset takes it.")],
    against: Annotated[str | None, typer.Option(help="Another dataset to compare with.")] = None,
    split: Annotated[str | None, typer.Option(help="Split to inspect. Default: all.")] = None,
    domain: Annotated[str | None, typer.Option(help="Domain: value of its column, or folder.")] = None,
    against_split: Annotated[str | None, typer.Option(help="Split of the other dataset. Default: all.")] = None,
    against_domain: Annotated[str | None, typer.Option(help="Domain of the other dataset.")] = None,
    domain_column: Annotated[str | None, typer.Option(help="Column that names the domain of each row.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(metavar="MODALITY=NAME", help="Column of a modality; repeatable.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column of labels, or several separated by commas. Default: found by its type.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Task that reads the labels. Default: the first that finds some.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model whose frozen features are probed. Default: cheap features.")
    ] = None,
    pretrained: Annotated[
        bool,
        typer.Option("--pretrained/--no-pretrained", help="Load pretrained weights, or start from random ones."),
    ] = True,
    image_size: Annotated[int | None, typer.Option(help="Side of the model's square input in pixels.")] = None,
    device: Annotated[str | None, typer.Option(help="Device: cpu, cuda or mps. Default: the best available.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Rows of each split to decode. 0: all.")] = 2000,
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for contact-sheet.png and inspection.json. Default: none is written.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Inspect a dataset: columns, splits, labels, sizes, duplicates, doubtful labels.

    With --against it compares labels and measures the shift between two datasets. Nothing is changed.
    """
    from hubtl.cli.messages import begin, emit
    from hubtl.cli.rows import columns_of

    begin(quiet=quiet or json_, debug=debug)
    from hubtl.studies.inspection import inspect as inspected

    found = inspected(
        dataset,
        against=against,
        split=split,
        domain=domain,
        against_split=against_split,
        against_domain=against_domain,
        domain_column=domain_column,
        column=columns_of(column),
        label_column=label_column,
        task=task,
        model=model,
        pretrained=pretrained,
        image_size=image_size,
        device=device,
        rows=rows,
        output_dir=output_dir,
    )
    if json_:
        emit(found.model_dump(mode="json"))
        return
    _show(found)
    if output_dir is not None and not quiet:
        typer.echo(f"\nwritten to {output_dir}", err=True)


def _show(found: "Inspection") -> None:
    from hubtl.cli import table

    columns = [[c.name, c.type, c.read_as or ""] for c in found.columns]
    table.show(["column", "type", "read as"], columns, left=("column", "type", "read as"))
    typer.echo()
    rows = [[s.name, f"{s.rows:,}", f"{s.labelled:,}", _sizes(s), f"{s.unreadable_rows:,}"] for s in found.splits]
    table.show(
        ["split", "rows", "labelled", "sizes: least, median, most", "unreadable"],
        rows,
        left=("split", "sizes: least, median, most"),
    )
    _show_labels(found)
    for split in found.splits:
        for bad in split.unreadable[:LISTED]:
            typer.echo(f"unreadable: {_row(bad)}: {shown.line(bad.reason)}")
    twice = found.duplicates
    typer.echo(
        f"\nequal rows: {shown.plural(twice.rows, 'row')} in {shown.plural(twice.groups, 'group')}; "
        f"across splits: {shown.plural(twice.across_splits, 'group')}; with several labels: "
        f"{shown.plural(twice.contradicting, 'group')}"
    )
    for group_ in twice.examples[:LISTED]:
        typer.echo(f"  {' = '.join(map(_row, group_))}")
    if (hints := found.hints) is not None:
        typer.echo(
            f"\nlabels to look at: {shown.plural(hints.doubted, 'row')} of {hints.rows:,}, doubted by a linear probe of "
            f"{hints.features}, which finds {100 * hints.right:.1f} % of the labels, and is certain of "
            f"{shown.plural(hints.certain, 'row')}"
        )
        for hint in hints.examples[:LISTED]:
            typer.echo(f"  {_row(hint)}: rather {shown.line(hint.suggested)} ({100 * hint.probability:.0f} %)")
    _show_against(found)
    for note in found.notes:
        typer.echo(f"note: {shown.line(note)}", err=True)


def _show_labels(found: "Inspection") -> None:
    from hubtl.cli import table

    names = dict.fromkeys(name for split in found.splits for name in split.counts)
    if names:
        typer.echo()
        counts = [[name, *(f"{split.counts.get(name, 0):,}" for split in found.splits)] for name in names]
        table.show(
            [f"label ({found.task})", *(split.name for split in found.splits)], counts, left=(f"label ({found.task})",)
        )
    for split in found.splits:
        for name, values in split.values.items():
            typer.echo(f"{split.name}: {shown.line(name)} {_spread(values)}")


def _show_against(found: "Inspection") -> None:
    from hubtl.cli import table

    other = found.against
    if other is None:
        return
    typer.echo(f"\nagainst {shown.line(other.dataset)}: {shown.plural(other.rows, 'row')}")
    if other.relation is not None:
        sets = other.relation
        typer.echo(
            f"labels: {sets.setting}; {len(sets.shared)} shared, {len(sets.source_only)} only here, "
            f"{len(sets.target_only)} only there"
        )
    if other.counts:
        rows = [[name, f"{here:,}", f"{there:,}"] for name, (here, there) in other.counts.items()]
        table.show(["label", found.dataset, other.dataset], rows, left=("label",))
    typer.echo(f"rows there that are here too: {other.shared_rows:,}")
    if other.a_distance is not None:
        typer.echo(f"A-distance by {other.features}: {other.a_distance:.2f} (0: not separable, 2: fully)")


def _sizes(split: "SplitFacts") -> str:
    return "; ".join(f"{name} {_spread(values)}" for sizes in split.sizes.values() for name, values in sizes.items())


def _spread(values: "Spread") -> str:
    if values.least == values.most:
        return f"{values.least:.4g}"
    return f"{values.least:.4g}, {values.median:.4g}, {values.most:.4g}"


def _row(row: "Row") -> str:
    label = "" if row.label is None else f" [{shown.line(row.label)}]"
    return f"{row.split} {row.row} {shown.line(row.name)}{label}"
