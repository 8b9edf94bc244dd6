"""Imports go downward only, and each foundation is imported in its own place."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent / "hubtl"
LAYERS = [
    {"errors", "settings", "shown", "_compat", "files", "jsontext", "places", "plain", "bounded", "launch", "signals"},
    {"recipe", "reading", "record", "plugins", "contract", "blame", "flags", "space", "card", "hub"},
    {"batch", "losses", "modules", "ranks"},
    {"tasks", "tuners", "backbones", "data"},
    {"strategy", "strategies"},
    {"engine", "evaluate", "validators", "testtime", "transferability"},
    {
        "run",
        "workplace",
        "prepare",
        "choice",
        "domains",
        "verdict",
        "comparison",
        "plan",
        "assess",
        "deliver",
        "ablation",
        "amend",
        "reuse",
        "measure",
        "subsets",
        "shift",
        "calibration",
        "relevance",
        "demo",
        "ranking",
        "watch",
        "energy",
        "tuning",
        "study",
        "api",
        "python",
        "testing",
    },
    {"cli", "__main__"},
]
LAYER = {unit: number for number, units in enumerate(LAYERS) for unit in units}
HOMES = {
    "timm": {"backbones/timm.py", "engine/optimise.py"},
    "transformers": {"backbones/transformers.py", "backbones/processors.py"},
    "torchvision": {"backbones/torchvision.py"},
    "peft": {"tuners.py"},
    "accelerate": {"engine/"},
    "typer": {"cli/"},
    "optuna": {"study.py", "tuning.py"},
    "gradio": {"demo/"},
    "codecarbon": {"energy.py"},
}


def imports(source: str) -> Iterator[str]:
    """Every absolute module name that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            assert node.module is not None
            yield from ([f"hubtl.{a.name}" for a in node.names] if node.module == "hubtl" else [node.module])


def units(source: str) -> set[str]:
    """The units of hubtl that a file imports: ``hubtl.data.images`` is of the unit ``data``."""
    return {name.split(".")[1] for name in imports(source) if name.startswith("hubtl.")} - {"__version__"}


def upward(path: str, source: str) -> list[str]:
    own = path.split("/")[0].removesuffix(".py")
    return [f"{path} imports hubtl.{unit}" for unit in units(source) if LAYER[unit] > LAYER[own]]


def astray(path: str, source: str) -> list[str]:
    """Imports of a foundation outside its home."""
    tops = {name.split(".")[0] for name in imports(source)}
    return [f"{path} imports {top}" for top in tops & HOMES.keys() if not any(path.startswith(h) for h in HOMES[top])]


def files() -> dict[str, str]:
    found = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")}
    return {path: source for path, source in found.items() if path != "__init__.py"}  # which is lazy: test_exports.py


def test_every_file_belongs_to_a_layer():
    assert {path.split("/")[0].removesuffix(".py") for path in files()} <= LAYER.keys()


def test_imports_go_downward():
    assert [problem for path, source in files().items() for problem in upward(path, source)] == []


def test_no_unit_imports_itself_through_another():
    graph: dict[str, set[str]] = {}
    for path, source in files().items():
        own = path.split("/")[0].removesuffix(".py")
        graph.setdefault(own, set()).update(units(source) - {own})
    while leaves := [unit for unit, needs in graph.items() if not needs & graph.keys()]:
        for unit in leaves:
            del graph[unit]
    assert graph == {}, "these import each other in a circle"


def test_each_foundation_is_imported_in_its_own_place():
    assert [problem for path, source in files().items() for problem in astray(path, source)] == []


def test_the_probes_can_fail():
    assert upward("losses.py", "def f():\n    from hubtl.strategy import Loss") == ["losses.py imports hubtl.strategy"]
    assert upward("engine/loop.py", "from hubtl import run") == ["engine/loop.py imports hubtl.run"]
    assert upward("engine/loop.py", "from hubtl.strategy import Loss\nimport hubtl.engine.wrap") == []
    assert astray("data/images.py", "from torchvision.ops import nms") == ["data/images.py imports torchvision"]
    assert astray("backbones/torchvision.py", "import torchvision") == []
