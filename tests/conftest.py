"""Prepare a test run before hubtl is imported: own caches, no network, one thread, no windows."""

import atexit
import gc
import os
import shutil
import tempfile

_HOME = tempfile.mkdtemp(prefix="hubtl-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
for name in (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_HUB_OFFLINE",
    "HF_HUB_CACHE",
    "HF_DATASETS_CACHE",
    "HUBTL_PLUGINS",
):
    os.environ.pop(name, None)
os.environ.update(
    HF_HOME=f"{_HOME}/huggingface",
    HUBTL_HOME=f"{_HOME}/hubtl",
    HF_ENDPOINT="http://127.0.0.1:9",  # nothing listens there: a test that forgets its own Hub fails at once
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    HF_DATASETS_DISABLE_PROGRESS_BARS="1",
    TQDM_DISABLE="1",
    TOKENIZERS_PARALLELISM="false",
    MPLBACKEND="Agg",
    OMP_NUM_THREADS="1",
)

import pytest  # noqa: E402
import torch  # noqa: E402

from hubtl._compat import ensure_torchvision  # noqa: E402
from hubtl.settings import logger  # noqa: E402

torch.set_num_threads(1)
ensure_torchvision()


MARKED = {"hub": "hub", "server": "hub", "browser": "browser"}  # who asks for these fixtures is marked


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        for fixture in MARKED.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(MARKED[fixture])


@pytest.fixture(autouse=True, scope="module")
def _freeze():
    """Leave imports out of garbage collection. It follows each training and would cost half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _log():
    """A command in the test's own process sets the log up; the next test finds it as it was."""
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before
