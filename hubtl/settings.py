"""Read settings of the environment: cache folder, logging, processes."""

import logging
import os
import sys
from pathlib import Path

from hubtl import launch
from hubtl.io.shown import line, lines

logger = logging.getLogger("hubtl")

# None of the libraries reports that it is used, counts what is loaded, or keeps what was asked in a visitor's browser.
# They read this when they are imported, and every part of hubtl that imports one imports this file first.
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
}
os.environ.update(QUIET)


def cache_dir() -> Path:
    """Return the cache folder: ``HUBTL_HOME``, else ``HF_HOME/hubtl``, else ``~/.cache/hubtl``.

    Everything in it can be made again.
    """
    if home := os.environ.get("HUBTL_HOME"):
        return Path(home).expanduser()
    if hf_home := os.environ.get("HF_HOME"):
        return Path(hf_home).expanduser() / "hubtl"
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "hubtl"


def verifies() -> bool:
    """Return whether files are read completely to detect changes: ``HUBTL_VERIFY=1``."""
    return os.environ.get("HUBTL_VERIFY", "0").lower() in ("1", "true", "yes", "on")


def page(*parts: str) -> str:
    """Return the address of a page of the Hub (HF_ENDPOINT's): ``page("datasets", "user/data")``."""
    from huggingface_hub import constants

    return "/".join([constants.ENDPOINT.rstrip("/"), *(part.strip("/") for part in parts)])


def is_main_process() -> bool:
    """Return whether this process may print and write. It is rank 0, or a single process."""
    return launch.rank() == 0


class Shown(logging.Formatter):
    """Format messages so that foreign names stay on one line. They steer no terminal."""

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.args, tuple):
            text = (str, Exception, Path)
            record.args = tuple(line(arg) if isinstance(arg, text) else arg for arg in record.args)
        return lines(super().format(record))


def configure_logging(*, quiet: bool = False, debug: bool = False) -> None:
    """Send hubtl's messages to stderr: stdout belongs to results.

    Args:
        quiet: show warnings and errors only.
        debug: show everything.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Shown("%(message)s"))
    logger.handlers[:] = [handler]
    logger.propagate = False
    level = logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO
    logger.setLevel(level if is_main_process() else logging.ERROR)
