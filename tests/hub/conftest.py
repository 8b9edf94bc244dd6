"""A Hub, a client of it, and a finished run to push."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import records
from tests.hub.client import WEIGHTS, Client
from tests.hub.loopback import Hub, start


@pytest.fixture(scope="session")
def server() -> Iterator[Hub]:
    hub = start()
    yield hub
    hub.stop()


@pytest.fixture
def hub(server: Hub) -> Hub:
    server.reset()
    return server


@pytest.fixture(scope="session")
def client(server: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(server, tmp_path_factory.mktemp("client") / "home")
    yield client
    client.stop()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run directory, with things in it that are nobody's business."""
    folder = tmp_path / "run"
    (folder / "plots").mkdir(parents=True)
    (folder / "training").mkdir()
    record = records.gain(status="finished", plots=["curves.png"])
    record.save(folder)
    files = {
        "config.json": b'{"architecture": "resnet50"}',
        "model.safetensors": WEIGHTS,
        "preprocessor_config.json": b"{}",
        "recipe.yaml": b"model: resnet50\n",
        "hubtl.json": b'{"format_version": 1, "library": "timm", "native": true, "modalities": ["image"]}',
        "plots/curves.png": b"png",
        "plots/notes.txt": b"private",
        "training/model.safetensors": b"state",
        "training/state.pt": b"pickle",
        "pytorch_model.bin": b"pickle",
        "vocab.pkl": b"pickle",
        "modeling.py": b"print()",
        "config.json.partial": b"{",
        ".env": b"SECRET=1",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder
