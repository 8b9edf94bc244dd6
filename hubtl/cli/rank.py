"""Rank backbones (``hubtl rank``)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hubtl.io import shown

if TYPE_CHECKING:
    from hubtl.studies.rank import Ranked, Ranking

DATA = "Data"
TITLES = {"logme": "LogME", "leep": "LEEP", "h-score": "H-score", "linear-probe": "linear probe"}


def rank(
    models: Annotated[
        list[str],
        typer.Option("--models", "--model", help="Models to rank, separated by commas or repeated, as in hubtl adapt."),
    ],
    target_dataset: Annotated[
        str, typer.Option(help="Target dataset, labelled unless there is a source.", rich_help_panel=DATA)
    ],
    source_dataset: Annotated[
        str | None,
        typer.Option(help="Labelled source to score on, without reading target labels.", rich_help_panel=DATA),
    ] = None,
    source_split: Annotated[
        str | None, typer.Option(rich_help_panel=DATA, help="Split of the source to score on. Default: train.")
    ] = None,
    source_domain: Annotated[
        str | None,
        typer.Option(rich_help_panel=DATA, help="Domain: value of its column, or folder, for the source."),
    ] = None,
    target_split: Annotated[
        str | None, typer.Option(rich_help_panel=DATA, help="Split of the target to score on. Default: train.")
    ] = None,
    target_eval_split: Annotated[
        str | None, typer.Option(help="Split of the target to leave out.", rich_help_panel=DATA)
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
    on_bad_sample: Annotated[
        Literal["error", "skip"] | None,
        typer.Option(rich_help_panel=DATA, help="Fail on unreadable inputs, or skip them."),
    ] = None,
    pretrained: Annotated[
        bool | None,
        typer.Option("--pretrained/--no-pretrained", help="Load pretrained weights, or start from random ones."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the square input in pixels. Default: each model's own.")
    ] = None,
    by: Annotated[
        Literal["logme", "leep", "h-score", "linear-probe"], typer.Option(help="Score to rank by.")
    ] = "logme",
    seed: Annotated[int | None, typer.Option(help="Seed of random weights.")] = None,
    device: Annotated[str | None, typer.Option(help="Device: cpu, cuda or mps. Default: the best available.")] = None,
    mixed_precision: Annotated[
        Literal["no", "fp16", "bf16"] | None, typer.Option(help="Extract features in mixed precision.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the ranking to a JSON file, too.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Rank backbones for a target, before any training.

    The scores are LogME, LEEP, H-score and a linear probe of the features. LEEP and H-score need one class per row.
    """
    given = locals()
    from hubtl.cli.messages import begin, emit

    begin(quiet=quiet or json_, debug=debug)
    from hubtl.studies.rank import FLAGS
    from hubtl.studies.rank import rank as rank_models

    ranking = rank_models(
        models,
        target_dataset,
        source_dataset=source_dataset,
        by=by,
        output=output,
        **{name: given[name] for name in FLAGS if given[name] is not None},
    )
    if json_:
        emit(ranking.model_dump(mode="json"))
    else:
        _show(ranking)


def _show(ranking: "Ranking") -> None:
    from hubtl.cli import table
    from hubtl.run.plan import outputs_called
    from hubtl.settings import is_main_process

    if not is_main_process():
        return
    shift = ranking.source is not None
    known = [score for score in TITLES if any(score in (*m.scores, *m.not_measured) for m in ranking.models)]
    columns = ["", "model", *(TITLES[score] for score in known), *(["A-distance"] if shift else []), "width", "px"]
    scored = [found for found in ranking.models if found.error is None]
    table.show(columns, [_cells(found, known, ranking) for found in scored], left=("model",))
    for found in scored:
        for score, why in found.not_measured.items():
            typer.echo(f"{TITLES[score]} of {found.model}: not measured ({why})", err=True)
    for found in ranking.models:
        if found.error is not None:
            typer.echo(f"not ranked: {shown.line(found.model)}: {shown.line(found.error)}", err=True)
    called = outputs_called(ranking.task, len(ranking.outputs))
    rows = f"{shown.plural(ranking.scored_rows, 'row')} of {ranking.source or ranking.target} ({ranking.split})"
    typer.echo(f"by {TITLES[ranking.by]}, on {rows}, {len(ranking.outputs)} {called}", err=True)
    for note in ranking.notes:
        typer.echo(f"note: {shown.line(note)}", err=True)


def _cells(found: "Ranked", scores: list[str], ranking: "Ranking") -> list[str]:
    share = ranking.probe is not None and ranking.probe.unit == "share"
    cells = ["" if found.rank is None else str(found.rank), found.model]
    for score in scores:
        value = found.scores.get(score)
        percent = share and score == "linear-probe"
        cells.append("not measured" if value is None else f"{100 * value:.1f} %" if percent else f"{value:.3f}")
    if ranking.source is not None:
        cells.append("not measured" if found.a_distance is None else f"{found.a_distance:.2f}")
    return [*cells, str(found.width), str(found.image_size or "–")]
