"""Show a model in the browser (``hubtl demo``)."""

from typing import Annotated

import typer


def demo(
    model: Annotated[str, typer.Argument(help="Run directory, Hub id (user/repo[@revision]) or model folder.")],
    source_only: Annotated[
        str | None,
        typer.Option(help="Show this model beside it. Default: the other model of the run directory."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to serve at. 0.0.0.0 admits other machines.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to serve at. Default: the first free one from 7860.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
    share: Annotated[bool, typer.Option("--share", help="Ask gradio for a public address.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Show a model in the browser.

    The page has predictions, the source-only model beside the adapted one, and relevance.
    """
    from hubtl.cli.messages import begin
    from hubtl.demo import launch

    begin(quiet=quiet, debug=debug)
    launch(model, source_only=source_only, host=host, port=port, browser=browser, share=share)
