"""Write a package with a plugin: what ``hubtl plugin new`` does."""

import ast
import keyword
import re
import sys
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hubtl import plugins
from hubtl.errors import HubtlError, unknown
from hubtl.io import files
from hubtl.io.places import check_writable
from hubtl.plugins.files import kebab

TEMPLATES = Path(__file__).parent / "templates"
KINDS = {  # what is typed -> entry-point group, and how a run asks for it
    "strategy": ("strategies", "--strategy"),
    "task": ("tasks", "--task"),
    "tuner": ("tuners", "--tuner"),
    "validator": ("validators", "--validator"),
    "backbone": ("backbones", "--model"),
    "modality": ("modalities", "--column"),
}
COMMON = {  # template -> file
    "pyproject.toml.j2": "pyproject.toml",
    "readme.md.j2": "README.md",
    "workflow.yml.j2": ".github/workflows/test.yml",
    "gitignore.j2": ".gitignore",
}
MORE = {"modality": {"modality_net.py.j2": "{module}_net.py"}}  # beside a kind's own module and its test
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 50  # characters of a name


@dataclass(frozen=True)
class Written:
    """Describe the written files."""

    folder: Path
    files: list[Path]
    entry: str  # the name by which the plugin is used
    prefix: str  # its kind


def write(name: str, kind: str = "strategy", folder: Path | None = None) -> Written:
    """Write a package that brings a plugin of a kind. Its folder has its name unless another is given.

    Raises HubtlError for a name that a package cannot have, or that is taken, and where the folder has one of the files.
    Nothing is written then.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    words = _words(name, kind)
    folder = Path(name) if folder is None else folder.expanduser()
    texts = {folder / path: _rendered(template, words) for template, path in _templates(kind, words).items()}
    _check_class(texts, words)
    _check_free(folder, list(texts))
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, text)
    return Written(folder, list(texts), words["entry"], kind)


def _templates(kind: str, words: dict[str, Any]) -> dict[str, str]:
    own = {f"{kind}.py.j2": "{module}.py", f"test_{kind}.py.j2": "tests/test_{module}.py"} | MORE.get(kind, {})
    return COMMON | {template: path.format(**words) for template, path in own.items()}


def _words(name: str, kind: str) -> dict[str, Any]:
    """Return the values for the templates."""
    module, entry = name.replace("-", "_"), name.removeprefix("hubtl-")
    if not _is_name(name):
        guess = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:LONGEST].strip("-")
        raise HubtlError(
            f"{name!r} is no name for a package: a small letter, then letters, digits and single hyphens, {LONGEST} at most",
            hint=f"hubtl plugin new {guess if _is_name(guess) else 'my-loss'}",
        )
    cls = "".join(part.capitalize() for part in entry.split("-"))
    if any(map(keyword.iskeyword, (module, entry, cls))) or name in ("hubtl", "test", "tests"):
        raise HubtlError(f"{name!r} means something else to Python", hint=f"hubtl plugin new my-{entry}")
    more = MORE.get(kind, {}).values()
    modules = [module, *(path.format(module=module).removesuffix(".py") for path in more)]
    if taken := [one for one in modules if one in sys.stdlib_module_names or _importable(one)]:
        raise HubtlError(
            f"a module {taken[0]} is installed already, and the package's would hide it",
            hint=f"hubtl plugin new my-{entry}",
        )
    group, flag = KINDS[kind]
    called = entry.replace("-", "_") if kind == "modality" else entry  # a word before "=" on the command line
    if (there := plugins.entries(group).get(called)) is not None:
        whose = "hubtl has one of that name" if there.builtin else f"{there.package} has one of that name"
        raise HubtlError(f"{called!r} cannot be the name of a {kind}: {whose}", hint=f"hubtl plugin new my-{entry}")
    return {
        "name": name,
        "module": module,
        "modules": ", ".join(f'"{one}.py"' for one in modules),
        "entry": called,
        "loader": f"{entry}-net",  # of the models that come with a modality
        "named": kebab(cls) != entry,  # a single file's class has to say its name then
        "kind": kind,
        "group": group,
        "flag": flag,
        "cls": cls,
        "hubtl": _range(version("hubtl")),
    }


def _is_name(name: str) -> bool:
    """Return whether a package can have a name, without ``hubtl-`` too."""
    return len(name) <= LONGEST and all(map(NAME.fullmatch, (name, name.removeprefix("hubtl-"))))


def _check_class(texts: dict[Path, str], words: dict[str, Any]) -> None:
    """Raise HubtlError for a class whose name its module uses already."""
    for path, text in texts.items():
        if path.suffix != ".py":
            continue
        names = [
            getattr(node, "asname", None) or getattr(node, "name", "")
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.alias | ast.ClassDef | ast.FunctionDef)
        ]
        if names.count(words["cls"]) > 1:
            raise HubtlError(
                f"{words['name']!r} would be the class {words['cls']}, and {path.name} has another {words['cls']}",
                hint=f"hubtl plugin new my-{words['entry'].replace('_', '-')}",
            )


def _importable(module: str) -> bool:
    """Return whether a module can be imported from outside the working directory."""
    try:
        found = find_spec(module)
    except (ImportError, ValueError):
        return False
    return found is not None and (found.origin is None or Path(found.origin).parent.resolve() != Path.cwd())


def _range(present: str) -> str:
    """Return the versions that a package written for this one supports: ``>=0.2,<0.3``."""
    major, minor = (int(part) for part in present.split(".")[:2])
    return f">={major}.{minor},<{f'0.{minor + 1}' if major == 0 else major + 1}"


def _rendered(template: str, words: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        variable_start_string="<<",
        variable_end_string=">>",
    )
    return environment.get_template(template).render(words)


def _check_free(folder: Path, wanted: list[Path]) -> None:
    """Raise HubtlError where something would be overwritten, or cannot be written."""
    there = [path for path in wanted if path.exists() or path.is_symlink()]
    if there:
        raise HubtlError(f"{there[0]} exists, and is not overwritten", hint="another name, or --dir FOLDER")
    check_writable(folder, flag="--dir")
