"""Predict with a model (``hubtl predict``)."""

import csv
import io
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hubtl.io import files, jsontext, shown

if TYPE_CHECKING:
    from hubtl.tasks import Answer

SUFFIXES = {".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}
Format = Literal["table", "jsonl", "csv", "parquet"]


def predict(
    model: Annotated[str, typer.Argument(help="Run directory, Hub id (user/repo[@revision]) or model folder.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Images, folders or datasets; with several modalities datasets, or image=FILE text=WORDS.",
        ),
    ],
    format_: Annotated[
        Format | None, typer.Option("--format", help="Output format. Default: table, or by the suffix of --output.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the predictions to a file.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of a dataset. Default: test, else train.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="MODALITY=NAME", help="Column of a modality, such as image=photo. Repeatable."),
    ] = None,
    top_k: Annotated[
        int, typer.Option(min=1, help="Number of answers to list for each input, most probable first.")
    ] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows per batch.")] = 32,
    on_bad_sample: Annotated[
        Literal["error", "skip"], typer.Option(help="Fail on unreadable inputs, or skip them.")
    ] = "error",
    tta: Annotated[
        str | None,
        typer.Option(metavar="METHOD", help="Adapt at test time with this method (see hubtl list testtime)."),
    ] = None,
    tta_set: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Set an option of --tta. Repeatable.")
    ] = None,
    tta_reset_every: Annotated[
        int | None, typer.Option(min=0, help="Reset --tta to the saved model after this many batches. 0: never.")
    ] = None,
    tta_seed: Annotated[int | None, typer.Option(min=0, help="Seed of the row order for --tta. Default: 0.")] = None,
    tta_stream: Annotated[
        bool, typer.Option("--tta-stream", help="Keep the row order for --tta, as for a stream.")
    ] = False,
    masks: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a palette PNG for each image; its values are outputs by number."),
    ] = None,
    overlays: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write each image with its predicted regions in colours.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Predict on images, folders or datasets.

    A predicted number comes with the ends of its 90 % interval, NAME_low and NAME_high, if the model has one.

    With --tta the model adapts to the inputs while it predicts them. It reads them in random order, because folders are
    often sorted by class; the output keeps the order of the inputs.
    """
    from hubtl.cli.messages import begin, emit
    from hubtl.errors import HubtlError

    begin(quiet=quiet or json_, debug=debug)
    kind: str = format_ or SUFFIXES.get(output.suffix if output else "", "table")
    if kind == "parquet" and output is None:
        raise HubtlError("parquet is not text and needs a file", hint="--output predictions.parquet")
    from hubtl.cli import drawing
    from hubtl.cli.rows import columns_of, rows_of
    from hubtl.cli.testtime import options_of, seed_of
    from hubtl.io.places import check_file
    from hubtl.models import saved

    if output is not None:
        check_file(output)
    options = options_of(tta, tta_set, tta_reset_every, tta_seed, tta_stream)
    loaded = saved.load(model)
    pictures = {name: folder for name, folder in (("masks", masks), ("overlays", overlays)) if folder is not None}
    drawing.check(loaded, pictures)
    adapting = None if tta is None else loaded.test_time(tta, options)
    lenient = on_bad_sample == "skip"
    sources = rows_of(inputs, loaded.info.modalities, split, columns_of(column), lenient=lenient, each_file=True)
    found: list[Answer] = []
    order = seed_of(tta_seed, tta_stream)
    together = adapting is not None or loaded.intake().whole
    for source in [sources] if together else sources:
        answers = loaded.predict(
            source, batch_size=batch_size, on_bad_sample=on_bad_sample, tta=adapting, tta_seed=order
        )
        areas = bool(loaded.task.draws) and (json_ or kind != "table")
        found += drawing.drawn(loaded, source, answers, pictures) if areas or pictures else answers
    if top_k > 1 and found and found[0].row(top_k).keys() == found[0].row().keys():
        typer.echo(f"--top-k shows nothing more: a model for {loaded.task.name} has one answer", err=True)
    rows = [answer.row(top_k) if json_ or kind != "table" else answer.table(top_k) for answer in found]
    if json_:
        found_out = {} if adapting is None else {"tta": {"method": tta, "seed": order, "stats": asdict(adapting.stats)}}
        emit({"model": model, "predictions": rows, **found_out})
        return
    if kind == "parquet" and output is not None:
        files.write(output, _parquet(rows))
    elif kind == "table" and output is None and sys.stdout.isatty():
        _show(rows, found[0].percent if found else ())
    else:
        text = _text(rows, kind)
        if output is None:
            typer.echo(shown.lines(text), nl=False)
        else:
            files.write(output, text)
    if output is not None and not quiet:
        typer.echo(f"{len(rows)} predictions: {output}", err=True)


def _text(rows: list[dict[str, Any]], kind: str) -> str:
    if kind == "jsonl":
        return "".join(jsontext.text(row) + "\n" for row in rows)
    columns = list(rows[0]) if rows else ["input", "label"]
    rows = [{name: _joined(value) for name, value in row.items()} for row in rows]
    if kind == "csv":
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return buffer.getvalue()
    cells = [columns, *([shown.line(row[c]) for c in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "".join(line.rstrip() + "\n" for line in lines)


def _show(rows: list[dict[str, Any]], percent: tuple[str, ...]) -> None:
    from hubtl.cli.table import Screen, Words

    table = Words()
    for column in rows[0] if rows else ("input", "label"):
        table.add_column(column, justify="right" if rows and _number(rows[0][column]) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(_joined(value), column.startswith(percent)) for column, value in row.items()))
    Screen().print(table)


def _number(cell: Any) -> bool:
    return isinstance(cell, float) or bool(re.fullmatch(r"[-\d][\d.e-]*", str(cell)))


def _joined(value: Any) -> Any:
    """Join a list into one text by commas; items with a comma are quoted."""
    if not isinstance(value, list):
        return value
    return ", ".join(f'"{item}"' if "," in str(item) else str(item) for item in value)


def _cell(value: Any, share: bool) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{100 * value:.1f} %" if share else f"{value:.5g}"


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    from datasets import Dataset

    buffer = io.BytesIO()
    Dataset.from_list(rows).to_parquet(buffer)
    return buffer.getvalue()
