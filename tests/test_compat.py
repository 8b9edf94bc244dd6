"""timm and transformers work beside a broken torchvision.

Its compiled operators do not load, in child processes either.
"""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = "import torch, torchvision"
WITH = """
import multiprocessing

def child():
    import hubtl.backbones.timm as home
    import torchvision
    print("child:", len(home.model_names()) > 100, torchvision.__file__)

if __name__ == "__main__":
    from hubtl._compat import ensure_torchvision
    ensure_torchvision()
    ensure_torchvision()
    import torchvision
    from transformers import ViTConfig, ViTForImageClassification
    print("parent:", ViTForImageClassification.__name__, torchvision.__file__)
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> Path:
    """A folder with torchvision whose compiled operators do not load. A file that does not load replaces them."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        pytest.skip("torchvision is not installed")
    home = tmp_path_factory.mktemp("broken")
    leave_out = shutil.ignore_patterns("*.so", "*.so.*", "*.pyd", "*.dylib", "__pycache__")
    shutil.copytree(Path(spec.origin).parent, home / "torchvision", ignore=leave_out)
    for name in ("_C.so", "_C.pyd"):
        (home / "torchvision" / name).write_bytes(b"built for another torch")
    return home


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(code)
    return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)


def test_the_simulated_torchvision_is_really_broken(broken):
    done = run(WITHOUT, broken)
    assert done.returncode != 0
    assert "operator torchvision::nms does not exist" in done.stderr


@pytest.mark.slow
def test_timm_and_transformers_import_beside_a_broken_torchvision(broken):
    done = run(WITH, broken)
    assert done.returncode == 0, done.stderr
    assert f"parent: ViTForImageClassification {broken}" in done.stdout
    assert f"child: True {broken}" in done.stdout


def test_without_torchvision_nothing_happens(monkeypatch):
    from hubtl import _compat

    monkeypatch.setattr(_compat, "_library", None)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    _compat.ensure_torchvision()
    assert _compat._library is None
