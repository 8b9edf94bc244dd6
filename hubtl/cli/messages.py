"""What every command does first: where messages go, and which warnings of libraries a user need not see."""

import logging
import os
import warnings


def begin(*, quiet: bool = False, debug: bool = False) -> None:
    """Send hubtl's messages to stderr and keep other libraries' chatter off it, unless debugging."""
    from hubtl.settings import configure_logging

    configure_logging(quiet=quiet, debug=debug)
    if debug:
        return
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("DATASETS_VERBOSITY", "error")
    warnings.filterwarnings("ignore")
    for name in ("timm", "transformers", "datasets", "huggingface_hub", "accelerate", "peft", "httpx2", "httpx"):
        logging.getLogger(name).setLevel(logging.ERROR)
