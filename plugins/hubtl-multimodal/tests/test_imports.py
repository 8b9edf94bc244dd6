"""A plugin stands on what hubtl gives away: public modules and public names."""

import ast
from pathlib import Path

import hubtl_multimodal
import pytest

ROOT = Path(hubtl_multimodal.__file__).parent
DOCS = Path(__file__).parents[3] / "docs" / "plugins.md"
FILES = sorted(ROOT.rglob("*.py"))


PUBLIC = {  # docs/plugins.md, What a package may import
    *("hubtl", "hubtl.batch", "hubtl.errors", "hubtl.losses", "hubtl.modules", "hubtl.ranks", "hubtl.record"),
    *("hubtl.settings", "hubtl.strategy", "hubtl.tasks", "hubtl.testtime", "hubtl.testing", "hubtl.tuners"),
    *("hubtl.recipe.bounded", "hubtl.io.jsontext", "hubtl.card.themes", "hubtl.hub.network", "hubtl.modalities"),
    *("hubtl.data.columns", "hubtl.data.cache", "hubtl.data.features"),
    *(
        f"hubtl.backbones.{name}"
        for name in ("base", "images", "loader", "local", "saved", "surgery", "weights", "reach")
    ),
    *(f"hubtl.backbones.{name}" for name in ("hub", "timm", "processors", "parts_of", "resolve")),
}
WHOLE = ("hubtl.losses", "hubtl.modalities", "hubtl.tasks", "hubtl.testtime")  # with all that is in them


def public(name: str) -> bool:
    """Whether an imported name is a public module, or of one."""
    home = name.rpartition(".")[0]
    return name in PUBLIC or home in PUBLIC or name.startswith(tuple(f"{whole}." for whole in WHOLE))


def private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def of_hubtl(path: Path) -> list[str]:
    """Every name of hubtl's that a file imports. Attributes that it reads of such a name count."""
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_modules_alone_are_imported(path):
    assert [name for name in of_hubtl(path) if name.startswith("hubtl.") and not public(name)] == []


def test_what_is_public_is_documented():
    text = " ".join(DOCS.read_text(encoding="utf-8").split())
    told = text.partition("## What a package may import")[2].partition("## ")[0]
    missing = {name for name in PUBLIC if f"`{name}`" not in told and f"`{name.rpartition('.')[2]}`" not in told}
    assert missing <= {"hubtl.backbones.parts_of", "hubtl.backbones.resolve"}, "functions of the package itself"


def test_the_probe_can_fail():
    assert not public("hubtl.run.prepare.prepare")
    assert not public("hubtl.backbones.own")
    assert public("hubtl.modalities.audio.sound.samples")


def test_there_is_something_to_look_at():
    names = {name for path in FILES for name in of_hubtl(path)}
    assert "hubtl.errors.HubtlError" in names
    assert "cache.get" in names
