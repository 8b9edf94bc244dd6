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
    from hubtl.errors import HubtlError
    from hubtl.hub.pull import pull as fetch
    from hubtl.io import plain
    from hubtl.models.needed import check_needed

    begin(quiet=quiet or json_, debug=debug)
    with stoppable():
        folder = fetch(spec, output_dir=output_dir)
    if json_:
        emit({"repo": spec, "folder": str(folder)})
        return
    typer.echo(str(folder))
    if quiet:
        return
    try:
        check_needed(plain.object_of(folder / "hubtl.json"), folder)
    except HubtlError as error:  # the files are here, and of use once the package is
        typer.echo(f"needs: {error}\ntry:   {error.hint}")
    except (OSError, ValueError):
        pass  # another program's model
    typer.echo(f"next: {predicting(folder)}")
