"""Parse repository names and revisions, and select a model's files."""

import re
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from hubtl.errors import HubtlError

# The Hub's rule for names, so that a wrong one is refused before anything is trained or sent.
REPO = re.compile(r"(?!.*(?:--|\.\.|\.git$))[A-Za-z0-9_](?:[\w.-]*\w)?/[A-Za-z0-9_](?:[\w.-]*\w)?", re.ASCII)
LONGEST = 96
REVISION = re.compile(r"(?!.*\.\.)[\w.][\w./+-]*")
POOLED = "hubtl-pooled"  # hubtl's own model type: an encoder of texts, its pooling and a classifier
CODE = "modeling_pooled.py"  # the one file of code that hubtl writes
MODEL = (  # a library's own format
    "config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "added_tokens.json",
    "spm.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "generation_config.json",
)
FILES = (
    "README.md",
    CODE,
    *MODEL,
    *(f"encoders/*/{name}" for name in MODEL),  # of several modalities: one folder each
    "adapter/README.md",
    "adapter/*.json",
    "adapter/*.safetensors",
    "hubtl.json",
    "record.json",
    "recipe.yaml",
    "plots/*.png",
)


def split_revision(spec: str) -> tuple[str, str | None]:
    """Split ``user/repo@revision``.

    Raises:
        HubtlError: for anything but a repository's name.
    """
    repo, at, revision = spec.partition("@")
    if not REPO.fullmatch(repo) or len(repo) > LONGEST or (at and not REVISION.fullmatch(revision)):
        raise HubtlError(f"{spec!r} is not a repository's name", hint="user/repo, or user/repo@revision")
    return repo, revision or None


def belongs(path: str) -> bool:
    """Return whether a file is part of a model: no pickles, training state, or other code."""
    parts = PurePosixPath(path).parts
    if PurePosixPath(path).is_absolute() or any(part.startswith(".") for part in parts) or "\\" in path:
        return False
    return any(fnmatch(path, pattern) and path.count("/") == pattern.count("/") for pattern in FILES)


def files_of(folder: Path) -> list[str]:
    """Return the files of a run directory to push, sorted.

    Raises:
        HubtlError: for a link that leads out of the folder.
    """
    root = folder.resolve()
    found = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if not belongs(name) or not path.is_file():
            continue
        if not path.resolve().is_relative_to(root):
            raise HubtlError(
                f"{path} is a link that leads out of the folder: it is not pushed",
                hint="put a copy in its place (hubtl pull user/repo --output-dir DIR makes a folder without links)",
            )
        found.append(name)
    return sorted(found)
