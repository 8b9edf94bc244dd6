"""Explain a prediction (``hubtl explain``)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubtl.io import shown
from hubtl.io.shown import plural

if TYPE_CHECKING:
    from collections.abc import Mapping


def explain(
    model: Annotated[str, typer.Argument(help="Run directory, Hub id (user/repo[@revision]) or model folder.")],
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="image=FILE audio=FILE text=WORDS, or a dataset and --row."),
    ],
    row: Annotated[int, typer.Option(min=0, help="Number of the row in a dataset.")] = 0,
    split: Annotated[str | None, typer.Option(help="Split of a dataset. Default: test, else train.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="MODALITY=NAME", help="Column of a modality, such as image=photo. Repeatable."),
    ] = None,
    class_: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Explain this class instead of the predicted one.")
    ] = None,
    source_dataset: Annotated[
        str | None, typer.Option(help="Show the nearest rows of this dataset, such as the training data.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=2, help="Number of random token subsets to measure relevance with. Default: 1024.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    output_dir: Annotated[
        Path, typer.Option("--output-dir", "-o", help="Output directory of explanation.png and explanation.json.")
    ] = Path("explanation"),
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Explain a prediction by the relevance of each part.

    Parts are places of an image, words of a text, segments of a recording and modalities. A deletion test checks the
    result. For classification models.
    """
    from dataclasses import asdict

    from hubtl.cli.messages import begin, emit
    from hubtl.cli.rows import columns_of, rows_of
    from hubtl.errors import HubtlError

    begin(quiet=quiet or json_, debug=debug)
    from hubtl.io.places import check_writable
    from hubtl.models import saved

    check_writable(output_dir)

    loaded = saved.load(model)
    columns = columns_of(column)
    given = rows_of(inputs, loaded.info.modalities, split, columns)
    if len(given) > 1:
        raise HubtlError("one row is explained at a time", hint="a dataset and --row, or image=FILE text=WORDS")
    cells = given[0] if isinstance(given[0], dict) else _row(given[0], row, inputs[0])
    source = [] if source_dataset is None else _labelled(loaded, source_dataset, loaded.info.modalities, columns)
    options = {} if samples is None else {"samples": samples}
    found = loaded.explain(cells, label=class_, seed=seed, source=source, folder=output_dir, **options)
    if json_:
        emit(asdict(found))
        return
    _show(found)
    typer.echo(f"\n{output_dir / 'explanation.png'}\n{output_dir / 'explanation.json'}", err=True)


def _row(dataset: Any, number: int, text: str) -> "Mapping[str, Any]":
    from hubtl.data.inputs import each_row
    from hubtl.errors import HubtlError

    if number >= len(dataset):
        raise HubtlError(
            f"{text} has {plural(len(dataset), 'row')}, and no row {number}", hint=f"--row {len(dataset) - 1}"
        )
    return next(iter(each_row(dataset.select([number]), dataset.column_names)))[1]


def _labelled(model: Any, text: str, modalities: tuple[str, ...], asked: "Mapping[str, str]") -> list[Any]:
    """Return a dataset's training rows with their labels' names. Names are there where it has labels."""
    from hubtl.data.inputs import each_row
    from hubtl.data.sources import open_domain
    from hubtl.recipe.schema import DataSection, DomainSection

    data = DataSection(columns=dict(asked))
    domain = open_domain(DomainSection(dataset=text), data, model.task, role="source", modalities=modalities)
    found = {column: m for m, column in domain.columns.items()}
    rows = [r for _, r in each_row(domain.train.select_columns(list(found)).rename_columns(found), modalities)]
    if domain.labels is None or domain.outputs is None:
        return [(r, None) for r in rows]
    return [(r, domain.outputs.names[c]) for r, c in zip(rows, domain.labels.tolist(), strict=True)]


def _show(found: Any) -> None:
    typer.echo(
        f"{shown.line(found.label)}  {100 * found.probability:.1f} %  ({100 * found.nothing:.1f} % without any modality)"
    )
    for modality, value in found.modalities.items():
        typer.echo(f"  {modality:<8} {100 * value:+6.1f} points")
    test = found.deletion
    verdict = "the map holds" if test["faithful"] else "the map does NOT hold: do not trust it"
    typer.echo(
        f"deletion test: area {test['top_area']:.3f} most relevant first, {test['random_area']:.3f} "
        f"± {test['random_sd']:.3f} in random order: {verdict}"
    )
    for near in found.neighbours:
        typer.echo(
            f"  near: row {near.row}" + (f", {near.label}" if near.label else "") + f", cosine {near.cosine:.3f}"
        )
