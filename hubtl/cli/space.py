"""Push a Space (``hubtl push --space``)."""

from typing import TYPE_CHECKING, Any

import typer

from hubtl.io import shown

if TYPE_CHECKING:
    from pathlib import Path


def push_space(run_dir: "Path", repo: str, *, json_: bool, quiet: bool, **wishes: Any) -> None:
    """Push the Space and print what was written."""
    from dataclasses import asdict

    from hubtl.cli.messages import emit
    from hubtl.hub.space import push_space as send

    done = send(run_dir, repo, **wishes)
    if json_:
        files = [{"name": name, "bytes": size} for name, size in done.files]
        emit({**asdict(done), "files": files})
        return
    if not quiet:
        for name, size in done.files:
            typer.echo(f"  {size:>12,}  {name}")
        for name in done.kept:
            typer.echo(f"  {'kept':>12}  {name}, which somebody changed")
    for note in done.notes:
        typer.echo(f"note: {note}", err=True)
    if done.dry_run:
        count = len(done.files)
        typer.echo(
            f"{shown.plural(count, 'file')} would be pushed to the Space {done.space}, for {done.model} (dry run: nothing was sent)"
        )
        return
    typer.echo(f"space      {done.url}\ncommit     {done.commit}")
