"""Names of repositories and revisions, and which files belong to a model."""

import re
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from hubtl.errors import HubtlError

REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
FILES = (
    "README.md",
    "config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "vocab.*",
    "merges.txt",
    "generation_config.json",
    "hubtl.json",
    "record.json",
    "recipe.yaml",
    "plots/*.png",
)


def split_revision(spec: str) -> tuple[str, str | None]:
    """``user/repo@revision`` to its parts. Raises HubtlError for what is not a repository's name."""
    repo, at, revision = spec.partition("@")
    if not REPO.fullmatch(repo) or ".." in repo or (at and not re.fullmatch(r"[\w./-]+", revision)):
        raise HubtlError(f"{spec!r} is not a repository's name", hint="user/repo, or user/repo@revision")
    return repo, revision or None


def belongs(path: str) -> bool:
    """Whether a file of a repository or run directory is part of a model. No pickles, no code, no training state."""
    parts = PurePosixPath(path).parts
    if PurePosixPath(path).is_absolute() or any(part.startswith(".") for part in parts) or "\\" in path:
        return False
    return any(fnmatch(path, pattern) and path.count("/") == pattern.count("/") for pattern in FILES)


def files_of(folder: Path) -> list[str]:
    """What of a run directory is pushed, in a fixed order. Links are followed only inside the folder."""
    root = folder.resolve()
    found = [p for p in folder.rglob("*") if p.is_file() and p.resolve().is_relative_to(root)]
    return sorted(name for p in found if belongs(name := p.relative_to(folder).as_posix()))
