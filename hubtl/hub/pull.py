"""Pull a repository to a folder: only the files of a model, all of them or nothing."""

import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hubtl.errors import HubtlError
from hubtl.hub.checksums import listing, refuse_damage
from hubtl.hub.faults import explain, status_of
from hubtl.hub.names import FILES, POOLED, belongs, split_revision
from hubtl.hub.network import mind_the_network
from hubtl.io import plain
from hubtl.record import FORMAT_VERSION
from hubtl.settings import logger

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".h5")
SAID = [pattern for pattern in FILES if pattern.endswith(".json")]
CODE = ("auto_map", "custom_pipelines")  # keys of a configuration that name code of the repository


def pull(spec: str, *, output_dir: Path | str | None = None) -> Path:
    """Fetch ``user/repo[@revision]`` into the cache, or as a copy into ``output_dir``.

    Pickles, code and paths that leave the folder are not fetched; files in the cache are used offline. Fetched files
    are compared with the Hub's checksums.

    Args:
        spec: repository, with a branch, a tag or a commit.
        output_dir: a new or empty folder.

    Raises:
        HubtlError: for a folder that is not empty, a repository without a model or with one that needs its own code, a
            newer format, damaged files, and refusals of the Hub.
    """
    repo, revision = split_revision(spec)
    out = None if output_dir is None else Path(output_dir)
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise HubtlError(f"the output directory {out} is not empty", hint="another --output-dir")
    retry = shlex.join(["hubtl", "pull", spec, *(["--output-dir", str(out)] if out else [])])
    try:
        snapshot = _fetch(repo, revision, spec, retry)
    except HubtlError:
        raise
    except Exception as error:
        raise explain(error, f"cannot pull {spec}", retry=retry) from error
    if out is None:
        return snapshot
    try:
        _copy(snapshot, out)
    except OSError as error:
        raise HubtlError(
            f"cannot write {out}: {error.strerror or error}", hint="another --output-dir, or make room"
        ) from error
    return out


def _fetch(repo: str, revision: str | None, spec: str, retry: str) -> Path:
    """Return the cache folder of the model; small files that tell whether it loads come first."""
    from huggingface_hub import HfApi, snapshot_download

    mind_the_network()
    if (away := _away(repo, revision)) is not None:
        return _from_cache(repo, revision, spec, away)
    said = Path(snapshot_download(repo, revision=revision, allow_patterns=SAID))  # the cache keeps which commit it was
    _check_said(said, spec)
    commit = said.name
    there = listing(HfApi(), repo, commit)
    snapshot = Path(snapshot_download(repo, revision=commit, allow_patterns=list(FILES)))
    refuse_damage(snapshot, {name: entry for name, entry in there.items() if belongs(name)}, spec, retry=retry)
    _check_weights(snapshot, spec, list(there))
    if left := sorted(name for name in there if name.endswith((".py", *PICKLES)) and not belongs(name)):
        listed = ", ".join(left[:5]) + (", …" if len(left) > 5 else "")
        logger.info("not fetched, for it could run code: %s", listed)
    return snapshot


def _away(repo: str, revision: str | None) -> Exception | None:
    """Return why the Hub cannot be reached; None if it answers. The cache may replace it then.

    It raises the client's error for a refusal: that is an answer, whatever the cache has.
    """
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(repo, revision=revision)
    except Exception as error:
        status = status_of(error)
        if status is not None and status < 500 and status != 429:
            raise
        return error
    return None


def _from_cache(repo: str, revision: str | None, spec: str, away: Exception) -> Path:
    """Return what was pulled before.

    It raises the Hub's error where that is nothing, or an incomplete model.
    """
    from huggingface_hub import is_offline_mode, snapshot_download

    try:
        snapshot = Path(snapshot_download(repo, revision=revision, allow_patterns=list(FILES), local_files_only=True))
        _check_weights(snapshot, spec, [])
    except (HubtlError, OSError, ValueError):
        raise away from None
    _check_said(snapshot, spec)
    if not is_offline_mode():
        logger.warning("the Hub cannot be asked about %s: its commit %s is in the cache", spec, snapshot.name)
    return snapshot


def _copy(snapshot: Path, out: Path) -> None:
    """Copy the model's files beside ``out``, then rename: nobody sees half of it."""
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


def _check_said(folder: Path, spec: str) -> None:
    """Raise HubtlError for a model that hubtl could not run.

    It also covers models that it could not load; small files tell.
    """
    for path in sorted(folder.rglob("*config.json")):
        facts = _read(path)
        own = isinstance(facts, dict) and facts.get("model_type") == POOLED  # whose code hubtl has itself
        if isinstance(facts, dict) and not own and (named := [k for k in CODE if facts.get(k)]):
            raise HubtlError(
                f"{spec}: its {path.relative_to(folder).as_posix()} names code of its own ({', '.join(named)}), and hubtl "
                "runs none from the Hub",
                hint="another model, or one that its author saved without code",
            )
        if isinstance(facts, dict) and facts.get("trust_remote_code") is True:
            raise HubtlError(
                f"{spec}: its {path.relative_to(folder).as_posix()} asks for trust_remote_code, and hubtl runs no code "
                "from the Hub",
                hint="another model, or one that its author saved without code",
            )
    path = folder / "hubtl.json"
    if not path.exists():
        return
    facts = _read(path)
    version = facts.get("format_version", 1) if isinstance(facts, dict) else None
    if not isinstance(version, int):
        raise HubtlError(f"{spec}: its hubtl.json cannot be read", hint="ask its author to push the run again")
    if version > FORMAT_VERSION:
        raise HubtlError(
            f"{spec} was written by a newer hubtl (format {version}, this one reads {FORMAT_VERSION})",
            hint="pip install --upgrade hubtl",
        )


def _check_weights(folder: Path, spec: str, there: list[str]) -> None:
    """Raise HubtlError for a folder without complete, safe weights. They have to load safely and lack no part."""
    if not (folder / "config.json").exists() or not list(folder.glob("*.safetensors")):
        pickles = sorted(name for name in there if name.endswith(PICKLES))
        instead = f"; it has {', '.join(pickles[:3])}, which could run code" if pickles else ""
        raise HubtlError(
            f"{spec} holds no model that can be loaded safely: config.json and safetensors are needed{instead}",
            hint="ask its author for safetensors weights",
        )
    index = _read(folder / "model.safetensors.index.json")
    parts = index.get("weight_map") if isinstance(index, dict) else None
    named = {str(name) for name in parts.values()} if isinstance(parts, dict) else set()
    if missing := sorted(name for name in named if not (folder / name).is_file()):
        raise HubtlError(
            f"{spec}: its weights are not whole: {', '.join(missing[:3])} is missing",
            hint="ask its author to push the model again",
        )


def _read(path: Path) -> Any:
    """Return a JSON file; None for one that is missing or is not JSON."""
    try:
        return plain.json_of(path)
    except (OSError, ValueError):
        return None
