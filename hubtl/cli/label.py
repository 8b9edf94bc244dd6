"""Ask for labels to choose a model (``hubtl label``)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hubtl.io import shown

if TYPE_CHECKING:
    from hubtl.data.rowlabels import Given
    from hubtl.record import Verified
    from hubtl.studies.candidates import Candidates
    from hubtl.studies.label import Labelling

ALPHA = 0.05  # of --certain


def label(
    run_dirs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run directory with both of its models, several runs, or a comparison."),
    ],
    export: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Write the rows to label to a file instead of asking.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Read labels from such a file instead of asking.")
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Label in the browser, with pictures, sounds and texts.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to serve at. 0.0.0.0 admits other machines.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to serve at. Default: the first free one from 7860.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
    undo: Annotated[int, typer.Option(min=0, metavar="N", help="Undo the last N answers first.")] = 0,
    most: Annotated[int, typer.Option("--max", min=1, help="Maximum number of labels to ask for.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the row order.")] = 0,
    prior: Annotated[
        Literal["helps", "flat"], typer.Option(help="Prior belief: adapting usually helps, or none.")
    ] = "helps",
    certain: Annotated[
        bool, typer.Option("--certain", help="Decide by an e-value at 5 %: more labels, fewer wrong decisions.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout without asking.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Label a few rows to choose between source-only and adapted.

    It asks for rows on which the two models disagree, until one is better with 95 % probability, and ships that model.
    Every answer is saved at once, and the same command continues. With several runs or a comparison it finds the best
    model: two are compared, and the winner meets the next.
    """
    from hubtl.cli.messages import begin, emit
    from hubtl.errors import HubtlError
    from hubtl.io.places import check_file

    begin(quiet=quiet or json_, debug=debug)
    ways = [name for name, asked in (("--export", export), ("--labels", labels), ("--page", page)) if asked]
    if len(ways) > 1:
        raise HubtlError(f"{' and '.join(ways)}: one way to label at a time", hint=f"{ways[0]} alone")
    if export is not None:
        check_file(export)
    given = None
    if labels is not None:
        from hubtl.data import rowlabels

        given = rowlabels.read(labels)
    if page:
        from hubtl.demo import require

        require()
    from hubtl.demo import labelling
    from hubtl.studies import candidates, outcome
    from hubtl.studies import label as study

    rule = study.Rule(prior=prior, certain=ALPHA if certain else None, most=most, seed=seed)
    folders = candidates.folders_of([folder.expanduser() for folder in run_dirs])
    run = " ".join(shown.typed(folder) for folder in run_dirs)
    if len(folders) > 1:
        if page:
            raise HubtlError(
                "--page asks for one run", hint="one RUN, or the terminal; --export and --labels for several"
            )
        several = candidates.begin(folders, rule, home=run_dirs[0].expanduser())
        _answer(several, several.whole, undo, export, given, labels, run, as_json=json_)
        if export is None and json_:
            emit(several.summary())
        elif export is None:
            for line in several.outcome():
                typer.echo(line)
        return
    asking = study.begin(folders[0], rule)
    if page:
        for _ in range(undo):
            asking.undo()
        labelling(asking, host=host, port=port, browser=browser)
    else:
        _answer(asking, asking, undo, export, given, labels, run, as_json=json_)
    if export is not None:
        return
    found = asking.close()
    if json_:
        emit(_summary(asking, found))
    else:
        for line in outcome.outcome(asking, found, page=page):
            typer.echo(line)


def _answer(
    asking: "Labelling | Candidates",
    rows: "Labelling",
    undo: int,
    export: Path | None,
    given: "list[Given] | None",
    labels: Path | None,
    run: str,
    *,
    as_json: bool,
) -> None:
    """Undo answers, write or read rows to label, or ask. ``rows`` are written into a file; labels are read from one."""
    from hubtl.cli.asking import ask
    from hubtl.cli.messages import emit
    from hubtl.studies import outcome
    from hubtl.studies.candidates import Candidates

    for _ in range(undo):
        asking.undo()
    if export is not None:
        count = rows.export(export)
        if as_json:
            emit({"file": str(export), "rows": count})
        else:
            typer.echo(f"{shown.plural(count, 'row')} to label: {export}")
            typer.echo(f"next: hubtl label {run} --labels {shown.typed(export)}")
    elif given is not None and labels is not None:
        taken = rows.take(given, labels)
        if not as_json:
            typer.echo(f"{taken} labels read from {labels}")
    elif not as_json:
        if isinstance(asking, Candidates):
            ask(asking, rows.task, asking.opening(), asking.progress)
        else:
            ask(asking, rows.task, outcome.opening(rows), lambda: outcome.progress(rows))


def _summary(asking: "Labelling", found: "Verified | None") -> dict[str, Any]:
    from hubtl.run.ship import shipped

    verified = asking.verified() if found is None else found
    return {
        "output_dir": str(asking.folder),
        "n": verified.n,
        **verified.model_dump(mode="json"),
        "ships": shipped(asking.record),
    }
