"""The host files that name classification words: what stands between hubtl and another task.

The host is all of hubtl but the wings whose trade is a task: strategies, losses, test-time methods, validators and tasks.
A word counts where a regression has no meaning for it, in the names of the code and in the texts that it shows; comments
and docstrings do not count. A name counts by its parts, so ``match_classes`` is about classes and ``ClassVar`` is not.

python -m tests.house.classwords           # each file with its words, and how many files there are
python -m tests.house.classwords FOLDER    # of another tree's hubtl
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "hubtl"
OUTSIDE = ("strategies", "losses", "testtime", "tasks", "judging/validators", "validators")
MOST = 11  # host files that may name them; it only falls
WORDS = {
    "accuracy", "accuracies", "argmax", "bincount", "class counts", "class label", "class labels", "class name",
    "class names", "class score", "classes", "confidence", "confusion", "cross entropy", "f1", "id2label", "label2id",
    "per class", "predicted counts", "softmax",
}  # fmt: skip
OTHERS = {"critic_accuracy", "elem_classes"}  # a critic tells domains apart; gradio names its style sheets' classes so
LONGEST = max(word.count(" ") for word in WORDS) + 1


def named(text: str) -> Iterator[str]:
    """Yield the classification words in a name or a text: ``per_class`` and ``ClassScore`` have two parts."""
    for other in OTHERS:
        text = text.replace(other, "")
    parts = [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+\d?[a-z]*|[A-Z]\d", text)]
    for length in range(1, LONGEST + 1):
        runs = (" ".join(parts[start : start + length]) for start in range(len(parts) - length + 1))
        yield from (run for run in runs if run in WORDS)


def texts(source: str) -> Iterator[str]:
    """Yield the names and the texts of a file, docstrings left out."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value
        for field in ("id", "attr", "arg", "name", "asname"):
            if isinstance(text := getattr(node, field, None), str):
                yield text


def found(root: Path = ROOT) -> dict[str, Counter[str]]:
    """Count the classification words of each host file that has any."""
    counts = {}
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not any(name.startswith(f"{wing}/") for wing in OUTSIDE):
            counts[name] = Counter(word for text in texts(path.read_text(encoding="utf-8")) for word in named(text))
    return {name: words for name, words in counts.items() if words}


if __name__ == "__main__":
    files = found(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
    for name, words in files.items():
        print(f"{name:32}", ", ".join(f"{word} {count}" for word, count in words.most_common()))
    print(len(files), "host files name classification words; at most", MOST, "may")
