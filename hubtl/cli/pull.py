"""Pull a model from the Hub (``hubtl pull``)."""

from pathlib import Path
from typing import Annotated

import typer


def pull(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="USER/REPO[@REVISION]", help="Repository on the Hub, with a branch, tag or commit after the @."
        ),
    ],
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder to copy into. Default: the cache of huggingface_hub.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the folder alone.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Download a model from the Hub, completely or not at all.

    Only files of the model are fetched: no pickles and no code.
    """
    from hubtl.cli.messages import begin, emit, predicting, stoppable
    from hubtl.hub.pull import pull as fetch

    begin(quiet=quiet or json_, debug=debug)
    with stoppable():
        folder = fetch(spec, output_dir=output_dir)
    if json_:
        emit({"repo": spec, "folder": str(folder)})
        return
    typer.echo(str(folder))
    if not quiet:
        typer.echo(f"next: {predicting(folder)}")
