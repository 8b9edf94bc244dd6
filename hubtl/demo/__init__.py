"""A saved model in the browser: what it says, what source-only says beside it, and what did it; and rows to label."""

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
    """Serve a model until Ctrl+C: a run directory, another folder of a model, or a Hub id.

    ``source_only`` is the model to show beside it, or a run directory that keeps one; None: what the run directory of
    ``model`` keeps. ``host`` and ``port`` default to ``GRADIO_SERVER_NAME`` and ``GRADIO_SERVER_PORT``, as a Space sets
    them, else to 127.0.0.1 and the first free port from 7860. Nothing is fetched from elsewhere and nothing is reported;
    ``share=True`` alone asks gradio for a public address.

    Raises HubtlError without gradio, for a model that cannot be loaded, for two that have different classes or inputs,
    and for an address that cannot be served at.
    """
    require()
    os.environ.update(QUIET)  # whatever was set since
    from hubtl.demo.answers import Answers
    from hubtl.demo.page import serve

    serve(Answers.of(model, source_only), host=host, port=port, browser=browser, share=share)


def labelling(asking: "Labelling", *, host: str | None = None, port: int | None = None, browser: bool = False) -> None:
    """Serve rows to label until Ctrl+C; ``host`` and ``port`` as for ``launch``.

    The winner is shipped as soon as labels say which it is. Raises HubtlError without gradio, and for an address that
    cannot be served at.
    """
    require()
    os.environ.update(QUIET)
    from hubtl.demo.labelling import page
    from hubtl.demo.page import up

    up(page(asking), host=host, port=port, browser=browser, share=False)
