"""The tests of hubtl's own surroundings: caches of their own, no way to the network, one thread; and the small models."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
sys.path.append(str(ROOT))  # for the helpers of hubtl's tests, which are in no package

from trimodal import Models, models_in, write  # noqa: E402

from tests.conftest import _freeze, _log  # noqa: E402, F401  (its import sets the environment, before hubtl is imported)
from tests.tiny import hubtl_command  # noqa: E402


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Folders of tiny encoders, one of each modality."""
    return models_in(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``source`` and ``target``. Each is a folder of parquet files with a train and a test split."""
    root = tmp_path_factory.mktemp("data")
    write(root / "source")
    write(root / "target", turned=True)
    return root


@pytest.fixture
def hubtl(capsys):
    """Types a command: its exit code, stdout and stderr."""
    return lambda *words: hubtl_command([str(word) for word in words], capsys)
