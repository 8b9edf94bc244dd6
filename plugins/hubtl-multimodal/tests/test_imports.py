"""A plugin stands on what hubtl gives away: public modules and public names."""

import ast
from pathlib import Path

import hubtl_multimodal
import pytest

ROOT = Path(hubtl_multimodal.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def of_hubtl(path: Path) -> list[str]:
    """Every name of hubtl's that a file imports, and every attribute that it reads of such a name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found, modules = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hubtl":
            found += [f"{node.module}.{alias.name}" for alias in node.names]
            modules |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            own = [alias for alias in node.names if alias.name.split(".")[0] == "hubtl"]
            found += [alias.name for alias in own]
            modules |= {alias.asname or "hubtl" for alias in own}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            found.append(f"{node.value.id}.{node.attr}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_private_of_hubtl_is_used(path):
    assert [name for name in of_hubtl(path) if private(name)] == []


def test_there_is_something_to_look_at():
    names = {name for path in FILES for name in of_hubtl(path)}
    assert "hubtl.errors.HubtlError" in names
    assert "cache.get" in names
