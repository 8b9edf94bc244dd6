"""``hubtl demo``."""

from typing import Annotated

import typer


def demo(
    model: Annotated[str, typer.Argument(help="Run directory, Hub id (user/repo[@revision]) or model folder.")],
    source_only: Annotated[
        str | None,
        typer.Option(help="Show this model beside it; default: what the run directory keeps (run.keep_source_only)."),
    ] = None,
    host: Annotated[str, typer.Option(help="0.0.0.0: for other machines too.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: the first free from 7860.")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
    share: Annotated[bool, typer.Option("--share", help="Ask gradio for a public address.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q")] = False,
    debug: Annotated[bool, typer.Option("--debug")] = False,
) -> None:
    """Show a model in the browser: predictions, source-only beside adapted, and relevance."""
    from hubtl.cli.messages import begin
    from hubtl.demo import launch

    begin(quiet=quiet, debug=debug)
    launch(model, source_only=source_only, host=host, port=port, browser=browser, share=share)
