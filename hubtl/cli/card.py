"""Render a model card (``hubtl card``)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubtl.errors import HubtlError
from hubtl.io import files, shown

if TYPE_CHECKING:
    from hubtl.record import RunRecord


def card(
    run_dir: Annotated[Path, typer.Argument(help="Run directory with record.json.")],
    repo: Annotated[
        str | None, typer.Option(help="Hub id that the card's code loads. Default: the one in the README.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing, and exit with 2 if README.md is out of date.")
    ] = False,
    print_: Annotated[bool, typer.Option("--print", help="Print the card instead of writing it.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Render the model card again from record.json.

    Text outside its markers is kept.
    """
    from hubtl.card import document, metadata, render, written_for

    record = record_of(run_dir)
    path = run_dir / "README.md"
    existing = path.read_text(encoding="utf-8") if path.exists() else None
    repo = repo or (written_for(existing) if existing else None)
    text = render(record, existing=existing, repo=repo)
    if problems := metadata.problems(document.parse(text).metadata):
        raise HubtlError(
            f"{path}: the Hub would refuse its metadata: {'; '.join(problems)}", hint=f"edit the top of {path}"
        )
    if print_:
        typer.echo(text, nl=False)
    if check:
        if existing != text:
            what = "drifts from record.json" if existing else "is missing"
            raise HubtlError(f"{path} {what}", hint=f"hubtl card {shown.typed(run_dir)}")
    elif not print_:
        from hubtl.run.workplace import changing

        with changing(run_dir):
            files.write(path, text)
        typer.echo(str(path))


def record_of(run_dir: Path) -> "RunRecord":
    """Read the record of a run directory.

    Raises:
        HubtlError: for a directory without one, and for one that cannot be read.
    """
    from pydantic import ValidationError

    from hubtl.record import RunRecord

    try:
        return RunRecord.load(run_dir)
    except FileNotFoundError as error:
        raise HubtlError(f"{run_dir} has no record.json", hint="give the directory that hubtl adapt wrote") from error
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise HubtlError(
            f"{run_dir / 'record.json'} cannot be read: {first}", hint="restore it, or run the recipe again"
        ) from error
