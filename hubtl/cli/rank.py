"""``hubtl rank``."""

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
        typer.Option("--models", "--model", help="What hubtl adapt --model takes; commas between, or repeated."),
    ],
    target_dataset: Annotated[str, typer.Option(help="Labelled, unless there is a source.", rich_help_panel=DATA)],
    source_dataset: Annotated[
        str | None, typer.Option(help="Labelled: scores are then the source's.", rich_help_panel=DATA)
    ] = None,
    source_split: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    source_domain: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    target_split: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    target_eval_split: Annotated[str | None, typer.Option(help="Kept out.", rich_help_panel=DATA)] = None,
    target_domain: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    domain_column: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    image_column: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    text_column: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    audio_column: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
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
    on_bad_sample: Annotated[Literal["error", "skip"] | None, typer.Option(rich_help_panel=DATA)] = None,
    pretrained: Annotated[bool | None, typer.Option("--pretrained/--no-pretrained", help="Pretrained weights.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels; default: each model's own.")] = None,
    by: Annotated[
        Literal["logme", "leep", "h-score", "linear-probe"], typer.Option(help="The score that ranks.")
    ] = "logme",
    seed: Annotated[int | None, typer.Option(help="Of random weights.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps.")] = None,
    mixed_precision: Annotated[Literal["no", "fp16", "bf16"] | None, typer.Option()] = None,
    output: Annotated[Path | None, typer.Option(help="Write the ranking to this JSON file too.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q")] = False,
    debug: Annotated[bool, typer.Option("--debug")] = False,
) -> None:
    """Rank backbones for a target by LogME, LEEP, H-score and a linear probe of their features, before any training.

    LEEP and the H-score are of classes; numbers and several labels a row have the other two.
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
    rows = f"{ranking.scored_rows} rows of {ranking.source or ranking.target} ({ranking.split})"
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
