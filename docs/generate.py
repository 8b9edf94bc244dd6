"""docs/strategies.md, docs/recipes.md, the example in docs/plugins.md, the options of hubtl-multimodal: from the code.

python docs/generate.py            # write them
python docs/generate.py --check    # exit 1, with the difference, if they are not what they should be
"""

import ast
import difflib
import inspect
import json
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hubtl import plugins
from hubtl.cli.adapt import adapt
from hubtl.recipe.flags import KEYS
from hubtl.recipe.schema import NamedSection, Recipe

DOCS = Path(__file__).resolve().parent
sys.path.append(str(DOCS.parent))
MAP, MAP_END = "<!-- map: make docs -->", "<!-- end of the map -->"
MARK = "<!-- Written by docs/generate.py: `make docs`. Change the code that it describes, not this page. -->"
NAMES = {
    str: "text",
    bool: "true, false",
    list[str]: "list of texts",
    list[float]: "two numbers",
    dict[str, Any]: "mapping",
}
BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
RUNS_ON = (
    "Each strategy took steps on small data of each task (`hubtl.testing.tasks`; `python -m tests.testing.runs_on` "
    "writes the table again). A dash: refused before training. In segmentation each place of an image is a row."
)
SETTINGS = {
    "transfer": "a labelled target",
    "adaptation": "a labelled source, an unlabelled target",
    "source-free": "a classifier, an unlabelled target",
    "sequential": "a labelled source, then a labelled target",
}


def strategies() -> str:
    lines = [
        MARK,
        "# Strategies",
        "",
        "`hubtl adapt --strategy NAME`, its options with `--set OPTION=VALUE` or under `strategy.options` in a recipe.",
        "`hubtl show NAME` prints the same. [plugins.md](plugins.md) explains how to write one.",
        "",
    ]
    entries = [entry for entry in plugins.entries("strategies").values() if entry.builtin]
    loaded = sorted(
        ((e.name, e.load()) for e in entries), key=lambda pair: ("transfer" not in pair[1].settings, pair[0])
    )
    rows = [
        (f"[{name}](#{name})", "; or ".join(SETTINGS[s] for s in cls.settings), ", ".join(cls.needs), title(cls))
        for name, cls in loaded
    ]
    lines += [
        "Column *needs*: a method that needs `probabilities` is refused for tasks without them, one that needs `sites` for",
        "tasks other than segmentation, and one that needs `rows`, one for each input, for segmentation.",
        "",
    ]
    said = "cross-entropy of a classification, squared errors of a regression"
    lines += [f"In formulas `task(…)` is the supervised loss of the task: {said}.", ""]
    lines += table(("name", "data", "needs", "what it does"), rows)
    lines += ["# Strategies by task", "", RUNS_ON, ""]
    took = json.loads((DOCS / "runs-on.json").read_text(encoding="utf-8"))
    kinds = list(next(iter(took.values())))
    cells = [(name, *("yes" if took[name][kind] else "–" for kind in kinds)) for name, _ in loaded if name in took]
    lines += table(("name", *kinds), cells)
    for name, cls in loaded:
        lines += [f"## {name}", "", *prose(cls)]
        if cls.paper:
            lines += [f"Paper: [{cls.paper}](https://arxiv.org/abs/{cls.paper.removeprefix('arXiv:')}).", ""]
        if cls.defaults:
            decided = ", ".join(f"`{key}: {value}`" for key, value in cls.defaults.items())
            lines += [f"Default keys: {decided}.", ""]
        if cls.Options.model_fields:
            lines += options(cls.Options)
    lines += ["# Tuners", ""]
    lines += [
        "`--tuner NAME`: which backbone parameters to train. It composes with every strategy. Options: `--set tuner.n=3`.",
        "",
    ]
    lines += simple("tuners")
    lines += ["# Validators", ""]
    lines += [
        "`--validator NAME`: the rule that selects the checkpoint. An oracle reads target labels; log, record and card say so.",
        "",
    ]
    lines += simple("validators")
    return "\n".join(lines).rstrip() + "\n"


def recipes() -> str:
    flags = command_line()
    lines = [
        MARK,
        "# Recipes",
        "",
        "`hubtl adapt recipe.yaml`. Every key can be changed on the command line with `--set SECTION.KEY=VALUE`; the frequent",
        "ones have flags. A missing key is decided by the model, the strategy or the setting. The run's `recipe.yaml` has all",
        "decided keys, and repeats the run. `--dry-run` prints each decided key with its value and the reason; `--json` and",
        "`record.json` list them as `decisions`. All mistakes of a recipe are reported at once.",
        "",
        "```yaml",
        *(DOCS.parent / "examples" / "photo_to_sketch.yaml").read_text(encoding="utf-8").splitlines(),
        "```",
        "",
        "A section with only a name can be written as the name: `model: resnet50`, `target: user/webcam`,",
        "`strategy: dann`.",
        "",
    ]
    for section, field in Recipe.model_fields.items():
        model = section_model(field)
        lines += [f"## {section}", ""]
        if section == "source":
            lines += ["Omit it for transfer learning on a labelled target.", ""]
        given: Any = field.get_default(call_default_factory=True)
        rows = []
        for key, inner in model.model_fields.items():
            value = f"`{given.name}`" if key == "name" and isinstance(given, NamedSection) else default(inner)
            rows.append((f"`{key}`", kind(inner), value, flags.get(f"{section}.{key}", ""), inner.description or ""))
        lines += table(("key", "type", "default", "flag", ""), rows)
        if section == "task":
            lines += simple("tasks")
    return "\n".join(lines).rstrip() + "\n"


def command_line() -> dict[str, str]:
    """Recipe keys that have a flag, with the flag as typed."""
    found = {}
    for name, hint in typing.get_type_hints(adapt, include_extras=True).items():
        said = [d for e in getattr(hint, "__metadata__", ()) for d in (e.default, *(e.param_decls or ()))]
        spelt = [d for d in said if isinstance(d, str) and d.startswith("--")]
        if name in KEYS:
            found[KEYS[name]] = f"`{', '.join(spelt) or '--' + name.replace('_', '-')}`"
    return found


def guide() -> str:
    """docs/plugins.md with the example package's module between its marks."""
    text = (DOCS / "plugins.md").read_text(encoding="utf-8")
    module = (DOCS.parent / "plugins" / "hubtl-example" / "hubtl_example" / "__init__.py").read_text(encoding="utf-8")
    before, _, rest = text.partition("<!-- example:start -->\n")
    _, _, after = rest.partition("<!-- example:end -->")
    return f"{before}<!-- example:start -->\n```python\n{module}```\n<!-- example:end -->{after}"


def simple(group: str) -> list[str]:
    """A list of the built-ins of a kind, with their options."""
    lines = []
    for entry in plugins.entries(group).values():
        if entry.builtin:
            cls = entry.load()
            oracle = " **Oracle.**" if group == "validators" and cls().oracle else ""
            lines += [f"- **{entry.name}**: {markdown(title(cls))}{oracle}"]
            for key, field in getattr(cls, "Options", BaseModel).model_fields.items():
                lines += [f"  - `{key}` ({kind(field)}, default {default(field)}): {field.description}"]
    return [*lines, ""]


def options(model: type[BaseModel]) -> list[str]:
    rows = [(f"`{k}`", kind(f), default(f), f.description or "") for k, f in model.model_fields.items()]
    return table(("option", "type", "default", ""), rows)


def section_model(field: FieldInfo) -> type[BaseModel]:
    found: Any = field.annotation
    return found if isinstance(found, type) else next(a for a in typing.get_args(found) if a is not types.NoneType)


def title(cls: type) -> str:
    return markdown((inspect.getdoc(cls) or "").split("\n\n")[0])


def prose(cls: type) -> Iterator[str]:
    for paragraph in (inspect.getdoc(cls) or "").split("\n\n"):
        if paragraph.startswith("- "):  # a list
            yield from (f"- {markdown(item)}" for item in paragraph.removeprefix("- ").split("\n- "))
            yield ""
        else:
            yield from (markdown(paragraph), "")


def markdown(text: str) -> str:
    """A docstring's paragraph on one line, its code marked as Markdown does."""
    return " ".join(text.split()).replace("``", "`")


def kind(field: FieldInfo) -> str:
    options = [a for a in typing.get_args(field.annotation) if a is not types.NoneType]
    union = typing.get_origin(field.annotation) in (types.UnionType, typing.Union)
    inner: Any = options[0] if union and len(options) == 1 else field.annotation
    if typing.get_origin(inner) is Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(inner))
    bounds = ", ".join(
        f"{sign} {getattr(m, which)}" for which, sign in BOUNDS for m in field.metadata if hasattr(m, which)
    )
    return f"{NAMES.get(inner, getattr(inner, '__name__', str(inner)))} {bounds}".strip()


def default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True) if field.default_factory else field.default
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [header, ("---",) * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines] + [""]


def multimodal() -> str:
    """The README of hubtl-multimodal with its options between its marks; the package need not be installed."""
    folder = DOCS.parent / "plugins" / "hubtl-multimodal"
    sys.path.insert(0, str(folder))
    from hubtl_multimodal.options import ModelOptions
    from hubtl_multimodal.strategies.attention_da import AttentionDA
    from hubtl_multimodal.strategies.mm_da import MultimodalDA
    from hubtl_multimodal.testtime.read import READ

    text = (folder / "README.md").read_text(encoding="utf-8")
    lines = ["", "## Options of the model", "", "`--set model.NAME=VALUE`, or under `model.options` in a recipe.", ""]
    lines += options(ModelOptions)
    things: tuple[tuple[str, Any], ...] = (("mm-da", MultimodalDA), ("attention-da", AttentionDA), ("read", READ))
    for name, cls in things:
        flag = "--tta-set NAME=VALUE" if name == "read" else "--set NAME=VALUE"
        where = (
            cls.paper if cls.paper.startswith("http") else f"https://arxiv.org/abs/{cls.paper.removeprefix('arXiv:')}"
        )
        lines += [f"## {name}", "", *prose(cls), f"Paper: [{where.removeprefix('https://')}]({where}). `{flag}`:", ""]
        lines += options(cls.Options)
    before, _, rest = text.partition("<!-- options:start -->\n")
    _, _, after = rest.partition("<!-- options:end -->")
    return before + "<!-- options:start -->" + "\n".join(lines).rstrip() + "\n\n<!-- options:end -->" + after


def contributing() -> str:
    """CONTRIBUTING.md with the map of the layers that its test holds."""
    from tests.house.test_layers import LAYERS, ROOT

    text = (DOCS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    start, end = text.index(MAP), text.index(MAP_END)
    rows = []
    for number, (what, units) in reversed(list(enumerate(LAYERS))):
        names = sorted(f"{unit}.py" if (ROOT / f"{unit}.py").exists() else f"{unit}/" for unit in units)
        rows.append((str(number), what, " ".join(f"`{name}`" for name in names)))
    folders = sorted(path for path in ROOT.iterdir() if (path / "__init__.py").exists())
    lines = [MAP, "", *table(("layer", "what", "where"), rows)]
    for folder in folders:
        first = (ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or "").split("\n")[
            0
        ]
        lines.append(f"- `{folder.name}/` " + first.replace("``", "`"))
    return text[:start] + "\n".join(lines) + "\n\n" + text[end:]


PAGES = {
    "../CONTRIBUTING.md": contributing,
    "strategies.md": strategies,
    "recipes.md": recipes,
    "plugins.md": guide,
    "../plugins/hubtl-multimodal/README.md": multimodal,
}


def main(arguments: list[str]) -> int:
    drifted = False
    for name, page in PAGES.items():
        path, text = DOCS / name, page()
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
            continue
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old != text:
            drifted = True
            sys.stderr.writelines(difflib.unified_diff(old.splitlines(True), text.splitlines(True), name, "the code"))
            print(
                f"error: {path.resolve().relative_to(DOCS.parent)} is not what the code says\ntry:   make docs",
                file=sys.stderr,
            )
    return int(drifted)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
