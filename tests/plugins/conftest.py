"""Packages of one module with entry points, installed for one test alone."""

import sys

import pytest

from hubtl import plugins


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a distribution for this test alone. It has one module with entry points."""
    plugins.entries.cache_clear()
    monkeypatch.delenv("HUBTL_PLUGINS", raising=False)
    made = []

    def install(package: str, points: dict[str, str], *, source: str = "", group: str = "hubtl.strategies") -> str:
        module = package.replace("-", "_") + "_module"
        home = tmp_path / package
        info = home / f"{package.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        lines = [f"{name} = {module}:{thing}" for name, thing in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
        (home / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(home))
        made.append(module)
        plugins.entries.cache_clear()
        return module

    yield install
    plugins.entries.cache_clear()
    plugins._combined.cache_clear()
    for module in made:
        sys.modules.pop(module, None)
