"""The core files that know what lies behind a door: the plugin of several modalities, and single modalities.

The core is all of hubtl. A file knows the plugin where its code or its texts say its name. It knows a modality where a text
in it is exactly the name of a built-in one, where it is the name of a key or flag of one, such as ``image_column``, or where
it imports from the folder of one; ``hubtl/modalities/`` may. Comments and docstrings do not count.

python -m tests.house.doors           # each file with what it names, and how many files there are
python -m tests.house.doors FOLDER    # of another tree's hubtl
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.house.classwords import ROOT

PLUGIN = "multimodal"
BUILT_IN = ("image", "text", "audio")
MOST_PLUGIN, MOST_MODALITY = 0, 3  # files; they only fall
ELSEWHERE = "modalities/"
KEY = re.compile(rf"(?:data\.|--)?({'|'.join(BUILT_IN)})[_-]column")
COLUMNS = (
    "data/delimited.py",
    "data/builtin/__init__.py",
)  # whose "text" and "image" are columns of tables of their own


def texts(source: str) -> Iterator[str]:
    """Yield the texts of a file, docstrings left out."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def names(source: str) -> Iterator[str]:
    """Yield the names that a file gives and uses. Those of modules are among them."""
    for node in ast.walk(ast.parse(source)):
        for field in ("id", "attr", "arg", "name", "asname", "module"):
            if isinstance(text := getattr(node, field, None), str):
                yield text


def of_plugin(source: str) -> list[str]:
    """The places where a file names the plugin."""
    return [text for text in (*texts(source), *names(source)) if PLUGIN in text.lower()]


def of_modalities(source: str) -> list[str]:
    """The modalities that a file names."""
    found = [text for text in texts(source) if text in BUILT_IN or KEY.fullmatch(text)]
    found += [name for name in names(source) if KEY.fullmatch(name)]
    return found + [m for m in BUILT_IN for name in names(source) if name.startswith(f"hubtl.modalities.{m}")]


def files(root: Path = ROOT) -> dict[str, str]:
    """The code of the core, by its paths."""
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py"))}


def plugin_files(root: Path = ROOT) -> dict[str, Counter[str]]:
    """The core files that name the plugin, templates among them."""
    found = {name: Counter(of_plugin(source)) for name, source in files(root).items()}
    for path in sorted(root.rglob("*.j2")):
        found[path.relative_to(root).as_posix()] = Counter(re.findall(PLUGIN, path.read_text(encoding="utf-8")))
    return {name: words for name, words in found.items() if words}


def modality_files(root: Path = ROOT) -> dict[str, Counter[str]]:
    """The core files outside of ``hubtl/modalities/`` that name a modality."""
    found = {name: Counter(of_modalities(source)) for name, source in files(root).items() if name not in COLUMNS}
    return {name: words for name, words in found.items() if words and not name.startswith(ELSEWHERE)}


if __name__ == "__main__":
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    for what, found, most in (
        ("the plugin", plugin_files(root), MOST_PLUGIN),
        ("a modality", modality_files(root), MOST_MODALITY),
    ):
        for name, words in found.items():
            print(f"{name:32}", ", ".join(f"{word} {count}" for word, count in words.most_common()))
        print(len(found), "core files name", what, "and at most", most, "may\n")
