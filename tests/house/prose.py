"""Check the prose: docstrings that start with a verb, plain words, sentences of a length that is read once.

python -m tests.house.prose    # every finding, as file:line: text
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CODE = ("hubtl", "plugins", "tests", "benchmarks", "docs", "examples")  # where docstrings are read
PACKAGES = (
    "hubtl",
    "plugins/hubtl-example",
    "plugins/hubtl-multimodal/hubtl_multimodal",
)  # where each starts with a verb
CLAIMS = ("hubtl/testing/kinds/", "hubtl/testing/suite.py")  # a check's docstring is the claim that it prints
LONGEST = 35  # words of a sentence
FIRST = 12  # words of a docstring's first sentence, to its full stop, colon or semicolon
KNOWN = """
    Accept Act Adapt Add Agree Align Allow Answer Append Apply Arrange Ask Assign Attach Attend Attract Average
    Begin Bind Bound Bring Build Calibrate Call Cast Catch Change Check Choose Classify Clear Clip Close Collect
    Combine Compare Complete Compose Compute Configure Construct Continue Convert Copy Corrupt Count Create Crop
    Cover Cut Decide Declare Decode Define Delete Derive Describe Detect Determine Disable Discard Discriminate Distil
    Do Download Draw Drop Emit Enable Encode Enlarge Ensure Escape Estimate Evaluate Exclude Execute Expand
    Explain Export Extend Extract Fetch Fill Filter Find Fine-tune Finish Fit Flush Fold Follow Forget Format
    Freeze Fuse Gather Generate Get Give Group Guard Handle Hash Hold Identify Ignore Implement Import Include
    Infer Insert Inspect Install Interpret Invert Iterate Join Judge Keep Label Learn Leave Let Link List Listen
    Load Locate Lock Log Make Manage Map Mark Mask Match Maximise Measure Merge Meter Minimise Mix Move Multiply
    Name Normalise Note Offer Open Order Override Own Pad Pair Parse Pass Pick Place Plot Pool Predict Prepare
    Print Process Produce Project Propagate Provide Prune Pull Push Put Quote Raise Rank Read Rebuild Receive
    Recolour Recompute Record Recover Reduce Refer Refresh Refuse Register Reject Release Reload Remove Rename
    Render Repeat Replace Report Require Resample Reserve Reset Resize Resolve Restore Resume Retrain Retry Return
    Reverse Reword Rewrite Rotate Round Run Sample Save Say Scale Scan Score Seal Search Select Send Separate
    Serve Set Share Sharpen Shift Ship Shorten Show Shuffle Silence Simulate Skip Slice Sort Split Stack
    Standardise Start State Stop Store Stratify Stream Strip Substitute Subtract Suggest Sum Summarise Support
    Swap Sweep Switch Take Test Time Trace Track Train Transform Translate Transport Trim Truncate Try Tune Turn
    Undo Unfreeze Unlock Unpack Update Upgrade Use Validate Verify Visit Wait Walk Warn Watch Weight Wrap Write
    Yield
"""
VERBS = frozenset(KNOWN.split())  # first words of docstrings; a verb that is missing is added here
AVOID = {
    r"nought": "zero",
    r"strangers?": "third party",
    r"told apart": "distinguished, compared separately",
    r"(?<!make )(?<!makes )(un)?sure(r|st|ly|ness)?": "confident",
    r"(go|goes|going|gone) on with": "continue, resume",
    r"whatever becomes": "say what happens",
    r"is not to be had": "is not available",
}


def docstrings(source: str) -> Iterator[tuple[int, Any, str]]:
    """Yield line, node and text of each docstring of a Python source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, node, text


def shown(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of ``help=`` and ``description=``, which users read."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg in ("help", "description"):
            texts = [n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
            yield node.value.lineno, "".join(texts)


def without_help(source: str) -> Iterator[int]:
    """Yield the line of each option and argument without help. They are those of a command."""
    for node in ast.walk(ast.parse(source)):
        option = isinstance(node, ast.Call) and ast.unparse(node.func) in ("typer.Option", "typer.Argument")
        if option and not any(keyword.arg == "help" for keyword in node.keywords):
            yield node.lineno


def first_word(docstring: str) -> str:
    """Return the first word of a docstring; a quoted name or formula counts as one."""
    return re.split(r"[\s:,.;]", docstring.strip(), maxsplit=1)[0]


def first_sentence(docstring: str) -> str:
    """Return the first sentence of a docstring. It ends at its full stop, colon or semicolon."""
    paragraph = re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0]
    return re.split(r"(?<=[:;])\s", sentences(paragraph)[0], maxsplit=1)[0]


def count(sentence: str) -> int:
    """Count the words of a sentence."""
    return sum(bool(re.search(r"\w", word)) for word in sentence.split())


def plain(text: str) -> str:
    """Replace code, links and addresses by single words."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"``.+?``|`[^`]+`", "Code", text, flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"https?://\S+", "address", text)


def avoided(text: str) -> Iterator[tuple[str, str]]:
    """Yield words to avoid in a text, with the words to use."""
    for pattern, instead in AVOID.items():
        for found in re.finditer(rf"\b(?:{pattern})\b", plain(text), flags=re.IGNORECASE):
            yield found.group(), instead


def without_code(page: str) -> str:
    """Return a page without its code blocks and comments. Lines keep their numbers."""
    pattern = r"```.*?```|<!--.*?-->"
    return re.sub(pattern, lambda m: re.sub(r"[^\n]+", "", m.group()), page, flags=re.DOTALL)


def paragraphs(page: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of the paragraphs of a Markdown page: no headings, lists, tables or code."""
    line = 1
    for block in re.split(r"(\n\s*\n)", without_code(page)):
        text = block.strip("\n")
        if text and not re.match(r"\s*([-*+|#<>]|\d+\.|    )\s*", text) and not text.lstrip().startswith("---"):
            yield line + len(block) - len(block.lstrip("\n")), text
        line += block.count("\n")


def sentences(text: str) -> list[str]:
    """Split a paragraph into sentences."""
    flat = re.sub(r"\s+", " ", plain(text).replace("**", "").replace("*", ""))
    flat = re.sub(r"\b(e\.g|i\.e|et al|vs|eqs?|cf|approx)\.", r"\1", flat)
    return [part for part in re.split(r"(?<=[.!?])[)\"]? |(?<=:) (?=[A-Z])", flat) if part]


def long(text: str) -> list[str]:
    """Return the sentences of a paragraph that have too many words."""
    return [s for s in sentences(text) if count(s) > LONGEST]


def python_files(root: Path = ROOT) -> Iterator[Path]:
    """Yield the Python files whose docstrings are checked."""
    for folder in CODE:
        yield from sorted((root / folder).rglob("*.py"))


def pages(root: Path = ROOT) -> list[Path]:
    """Return the Markdown pages that are checked; decisions and records of changes keep their words."""
    return [
        root / "README.md",
        root / "CONTRIBUTING.md",
        *sorted(root.glob("docs/*.md")),
        *root.glob("plugins/*/README.md"),
    ]


def findings(root: Path = ROOT) -> Iterator[str]:
    """Yield every finding in the repository, as ``file:line: text``."""
    for path in python_files(root):
        name = path.relative_to(root).as_posix()
        source = path.read_text(encoding="utf-8")
        package = any(name.startswith(f"{folder}/") for folder in PACKAGES) and "/tests/" not in name
        verbs = package and not name.startswith(CLAIMS)
        for line, node, text in docstrings(source):
            word = first_word(text)
            if word == "What":
                yield f"{name}:{line}: begins with What: {text.splitlines()[0]}"
            elif verbs and not isinstance(node, ast.Module) and word not in VERBS:
                yield f"{name}:{line}: {word} is no verb that tests.house.prose knows: {text.splitlines()[0]}"
            if package:
                yield from (f"{name}:{line}: {found!r}: say {instead}" for found, instead in avoided(text))
            if count(sentence := first_sentence(text)) > FIRST:
                yield f"{name}:{line}: {count(sentence)} words in the first sentence: {sentence}"
        if package:
            yield from (f"{name}:{line}: an option without help" for line in without_help(source))
        for line, text in shown(source) if package else ():
            yield from (f"{name}:{line}: {found!r}: say {instead}" for found, instead in avoided(text))
    for path in pages(root):
        name = path.relative_to(root).as_posix()
        page = path.read_text(encoding="utf-8")
        for line, text in paragraphs(page):
            yield from (f"{name}:{line}: {len(s.split())} words: {s}" for s in long(text))
        for line, text in enumerate(without_code(page).split("\n"), 1):
            yield from (f"{name}:{line}: {found!r}: say {instead}" for found, instead in avoided(text))


if __name__ == "__main__":
    found = list(findings())
    print("\n".join(found))
    sys.exit(bool(found))
