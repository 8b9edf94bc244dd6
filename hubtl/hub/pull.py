"""A repository to a folder: only what belongs to a model, all of it or nothing."""

import json
import os
import shlex
import shutil
import tempfile
from pathlib import Path

from hubtl.errors import HubtlError
from hubtl.hub.faults import explain
from hubtl.hub.names import FILES, belongs, split_revision
from hubtl.record import FORMAT_VERSION


def pull(spec: str, *, output_dir: Path | str | None = None) -> Path:
    """Fetch ``user/repo[@revision]`` (a branch, a tag or a commit) into the cache, or as a copy into ``output_dir``.

    Pickles, code and paths that leave the folder are not fetched; what is in the cache is used offline. Raises HubtlError
    for a folder that is not empty, a repository without a model, a format from the future, and whatever the Hub refuses.
    """
    from huggingface_hub import snapshot_download

    repo, revision = split_revision(spec)
    out = None if output_dir is None else Path(output_dir)
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise HubtlError(f"the output directory {out} is not empty", hint="another --output-dir")
    retry = shlex.join(["hubtl", "pull", spec, *(["--output-dir", str(out)] if out else [])])
    try:
        snapshot = Path(snapshot_download(repo, revision=revision, allow_patterns=list(FILES)))
    except Exception as error:
        raise explain(error, f"cannot pull {spec}", retry=retry) from error
    _check(snapshot, spec)
    if out is None:
        return snapshot
    try:
        _copy(snapshot, out)
    except OSError as error:
        raise HubtlError(
            f"cannot write {out}: {error.strerror or error}", hint="another --output-dir, or make room"
        ) from error
    return out


def _copy(snapshot: Path, out: Path) -> None:
    """Copy what belongs to a model beside ``out``, then give it the name: nobody sees half of it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as partial:
        inside = Path(partial) / "model"
        for path in sorted(p for p in snapshot.rglob("*") if p.is_file()):
            name = path.relative_to(snapshot).as_posix()
            if belongs(name):
                (inside / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, inside / name)
        if out.exists():
            out.rmdir()
        os.replace(inside, out)


def _check(folder: Path, spec: str) -> None:
    """Raise HubtlError for what hubtl could not load."""
    if not (folder / "config.json").exists() or not list(folder.glob("*.safetensors")):
        raise HubtlError(
            f"{spec} holds no model that can be loaded safely: config.json and safetensors are needed",
            hint="ask its author for safetensors weights",
        )
    path = folder / "hubtl.json"
    if not path.exists():
        return
    try:
        version = int(json.loads(path.read_text(encoding="utf-8")).get("format_version", 1))
    except (ValueError, TypeError, AttributeError) as error:
        raise HubtlError(
            f"{spec}: its hubtl.json cannot be read", hint="ask its author to push the run again"
        ) from error
    if version > FORMAT_VERSION:
        raise HubtlError(
            f"{spec} was written by a newer hubtl (format {version}, this one reads {FORMAT_VERSION})",
            hint="pip install --upgrade hubtl",
        )
