"""Show a saved model in the browser: answers of two models, relevance, and rows to label."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hubtl.errors import HubtlError
from hubtl.settings import QUIET

if TYPE_CHECKING:
    from hubtl.studies.label import Labelling


def require() -> None:
    """Raise HubtlError where the extra is not installed. Imports nothing."""
    if importlib.util.find_spec("gradio") is None:
        raise HubtlError("the demo needs gradio, which is not installed", hint='pip install "hubtl[demo]"')


def launch(
    model: str | Path,
    *,
    source_only: str | Path | None = None,
    host: str | None = None,
    port: int | None = None,
    browser: bool = False,
    share: bool = False,
) -> None:
    """Serve the page of a model until Ctrl+C.

    Nothing is fetched from elsewhere and nothing is reported; only ``share=True`` asks gradio for a public address.

    Args:
        model: a run directory, a model folder, or a Hub id.
        source_only: the model to show beside it, or a run directory that keeps one; None: the one that the run
            directory of ``model`` keeps.
        host: by default ``GRADIO_SERVER_NAME``, as a Space sets it, else 127.0.0.1.
        port: by default ``GRADIO_SERVER_PORT``, else the first free port from 7860.
        browser: open the browser.
        share: ask gradio for a public address.

    Raises:
        HubtlError: without gradio, for a model that cannot be loaded, for two with different classes or inputs, and for
            an address that cannot be served.
    """
    require()
    os.environ.update(QUIET)  # whatever was set since
    from hubtl.demo.answers import Answers
    from hubtl.demo.page import serve

    serve(Answers.of(model, source_only), host=host, port=port, browser=browser, share=share)


def labelling(asking: "Labelling", *, host: str | None = None, port: int | None = None, browser: bool = False) -> None:
    """Serve rows to label until Ctrl+C.

    The better model is shipped as soon as labels decide.

    Args:
        asking: the labelling.
        host: as for ``launch``.
        port: as for ``launch``.
        browser: open the browser.

    Raises:
        HubtlError: without gradio, and for an address that cannot be served.
    """
    require()
    os.environ.update(QUIET)
    from hubtl.demo.labelling import page
    from hubtl.demo.page import up

    up(page(asking), host=host, port=port, browser=browser, share=False)
