"""Push a run to the Hub (``hubtl push``)."""

from pathlib import Path
from typing import Annotated

import typer

from hubtl.io.shown import plural


def push(
    run_dir: Annotated[Path, typer.Argument(help="Output directory of a finished run.")],
    repo: Annotated[str, typer.Argument(help="Repository on the Hub: user/repo.")],
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Create the repository as private or public.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch to push to. Default: main.")] = None,
    commit_message: Annotated[str | None, typer.Option(help="Commit message.")] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead of committing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be pushed and stop.")] = False,
    space: Annotated[
        bool, typer.Option("--space", help="Push a Space that demonstrates user/repo, not the model.")
    ] = False,
    space_name: Annotated[str | None, typer.Option(help="Name of the Space. Default: user/repo-demo.")] = None,
    source_only: Annotated[str | None, typer.Option(help="Hub id of the model to show beside it in the Space.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Push a run directory to the Hub, in one commit.

    The commit includes the card. Training state is not uploaded.
    """
    from hubtl.cli.messages import begin, emit, pushed, stoppable
    from hubtl.hub.push import PushResult
    from hubtl.hub.push import push as send

    begin(quiet=quiet or json_, debug=debug)
    if space or space_name or source_only:
        from hubtl.cli.space import push_space

        push_space(
            run_dir,
            repo if revision is None else f"{repo}@{revision}",
            space=space_name,
            source_only=source_only,
            private=private,
            commit_message=commit_message,
            create_pr=create_pr,
            dry_run=dry_run,
            json_=json_,
            quiet=quiet,
        )
        return

    def announce(plan: PushResult) -> None:
        for name, size in [] if quiet or json_ else plan.files:
            typer.echo(f"  {size:>12,}  {name}" + ("  (there already)" if name in plan.unchanged else ""))

    with stoppable():
        done = send(
            run_dir,
            repo,
            private=private,
            revision=revision,
            commit_message=commit_message,
            create_pr=create_pr,
            dry_run=dry_run,
            announce=announce,
        )
    if json_:
        files = [{"name": name, "bytes": size, "unchanged": name in done.unchanged} for name, size in done.files]
        emit({"repo": done.repo, "url": done.url, "commit": done.commit, "dry_run": dry_run, "files": files})
        return
    if dry_run:
        announce(done)
        typer.echo(f"{plural(len(done.files), 'file')} would be pushed to {done.repo} (dry run: nothing was sent)")
        return
    typer.echo(pushed(run_dir, done))
