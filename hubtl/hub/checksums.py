"""Compare local bytes with the Hub's checksums."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hubtl.errors import HubtlError

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

SHA256, SHA1 = 64, 40  # characters


def listing(api: "HfApi", repo: str, revision: str | None, kind: str = "model") -> "dict[str, RepoFile]":
    """Return the files of a repository by path, with sizes and ids."""
    from huggingface_hub.hf_api import RepoFile

    entries = api.list_repo_tree(repo, recursive=True, revision=revision, repo_type=kind)
    return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def size_of(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def same(content: Path | bytes, entry: "RepoFile") -> bool:
    """Return whether a file of the Hub has this content.

    It compares the sha256 of large file storage, else git's id. An id of git may have 64 digits too, and some servers
    give a sha256 in its place.
    """
    size, stated = size_of(content), _id(entry)
    if size != _size(entry) or len(stated) not in (SHA256, SHA1):
        return False
    found = hashlib.sha256 if len(stated) == SHA256 else hashlib.sha1
    head = b"blob %d\0" % size
    git, plain = found(head, usedforsecurity=False), found(usedforsecurity=False)
    for block in _blocks(content):
        git.update(block)
        plain.update(block)
    return stated == plain.hexdigest() if entry.lfs else stated in (git.hexdigest(), plain.hexdigest())


def refuse_damage(folder: Path, entries: "dict[str, RepoFile]", name: str, *, retry: str) -> None:
    """Raise HubtlError if a file differs from the Hub's. The file is removed first, from the cache too.

    The client compares sizes only. Weights are compared by sha256; other files by git's ids, unless no file at all has
    its own: then this Hub's ids are not git's.
    """
    here = {path: entry for path, entry in entries.items() if (folder / path).is_file()}
    wrong = [path for path, entry in here.items() if not same(folder / path, entry)]
    by_git = {path for path, entry in here.items() if not entry.lfs}
    foreign = by_git <= set(wrong)
    damaged = [
        path for path in wrong if path not in by_git or not (foreign or path.endswith(".safetensors"))
    ]  # the git id of weights may be that of a pointer to them
    if not damaged:
        return
    for path in damaged:
        _remove(folder / path)
    raise HubtlError(
        f"{name}: {', '.join(damaged)} came damaged: its checksum is not the one that the Hub states, so it was removed",
        hint=retry,
    )


def _remove(path: Path) -> None:
    """Remove a file of the cache and its targets. It follows the links step by step."""
    while path.is_symlink():
        target = path.parent / path.readlink()
        path.unlink()
        path = target
    path.unlink(missing_ok=True)


def _id(entry: "RepoFile") -> str:
    return str(entry.lfs.sha256 if entry.lfs else entry.blob_id or "").lower().removeprefix("sha256:")


def _size(entry: "RepoFile") -> int:
    return int(entry.lfs.size if entry.lfs else entry.size)


def _blocks(content: Path | bytes) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while block := file.read(1 << 20):
            yield block
