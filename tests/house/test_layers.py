"""Imports go downward only; each foundation is imported in its own place."""

import ast
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2] / "hubtl"
LAYERS = [  # what it is, its files and folders; CONTRIBUTING.md's map is made of this
    ("errors, settings, files, foreign text", {"errors", "settings", "_compat", "launch", "signals", "io"}),
    (
        "recipes, records, plugins, cards, the Hub: no torch from here down",
        {"recipe", "record", "plugins", "card", "hub"},
    ),
    ("tensors", {"batch", "losses", "modules", "ranks"}),
    ("what a run is made of", {"tasks", "tuners", "backbones", "data", "modalities"}),
    ("the contract of a method, and methods", {"strategy", "strategies"}),
    ("training, judging, averaging", {"engine", "judging", "ensembles", "testtime"}),
    ("the story of a run, and what users import", {"models", "run", "studies", "demo", "python", "testing"}),
    ("the command line: no work in it", {"cli", "__main__"}),
]
LAYER = {unit: number for number, (_, units) in enumerate(LAYERS) for unit in units}
HOMES = {
    "timm": {"backbones/timm.py", "engine/optimise.py"},
    "transformers": {"backbones/transformers.py", "backbones/processors.py", "modalities/"},
    "torchvision": {"backbones/torchvision.py"},
    "peft": {"tuners.py"},
    "accelerate": {"engine/"},
    "typer": {"cli/"},
    "optuna": {"studies/journal.py", "studies/tune.py"},
    "gradio": {"demo/", "testing/kinds/showing.py"},
    "codecarbon": {"run/energy.py"},
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
    """The units of hubtl that a file imports: ``hubtl.data.rows`` is of the unit ``data``."""
    return {name.split(".")[1] for name in imports(source) if name.startswith("hubtl.")} - {"__version__"}


def arrows(source: str, known: Collection[str]) -> set[str]:
    """The files, as modules, that a file imports: ``from hubtl.io import plain`` is of ``hubtl.io.plain``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in names}
    return found


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


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """The sets of names that import each other in a circle."""
    left = {name: needs & graph.keys() - {name} for name, needs in graph.items()}

    def reached(name: str) -> set[str]:
        found, waiting = set(), [name]
        while waiting:
            new = left[waiting.pop()] - found
            found |= new
            waiting += new
        return found

    reach = {name: reached(name) for name in left}
    found = {frozenset({b for b in reach[a] if a in reach[b]}) for a in left if a in reach[a]}
    return [set(circle) for circle in found]


def module(path: str) -> str:
    return f"hubtl.{path.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__")


def test_no_unit_imports_itself_through_another():
    graph: dict[str, set[str]] = {}
    for path, source in files().items():
        own = path.split("/")[0].removesuffix(".py")
        graph.setdefault(own, set()).update(units(source) - {own})
    assert circles(graph) == []


def test_no_file_imports_itself_through_another():
    sources = {module(path): source for path, source in files().items()}
    graph = {name: arrows(source, sources) - {name} for name, source in sources.items()}
    assert circles(graph) == []


def test_the_root_is_short():
    assert len(list(ROOT.glob("*.py"))) <= 14, "a new thought belongs into a folder"


def test_each_foundation_is_imported_in_its_own_place():
    assert [problem for path, source in files().items() for problem in astray(path, source)] == []


def test_the_probes_can_fail():
    assert upward("losses.py", "def f():\n    from hubtl.strategy import Loss") == ["losses.py imports hubtl.strategy"]
    assert upward("engine/loop.py", "from hubtl.run import plan") == ["engine/loop.py imports hubtl.run"]
    assert upward("engine/loop.py", "from hubtl.strategy import Loss\nimport hubtl.engine.wrap") == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [{"b", "c"}]
    assert arrows("from hubtl.io import plain", {"hubtl.io.plain"}) == {"hubtl.io.plain"}
    assert astray("data/cells.py", "from torchvision.ops import nms") == ["data/cells.py imports torchvision"]
    assert astray("backbones/torchvision.py", "import torchvision") == []
