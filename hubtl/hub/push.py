"""A run directory to a repository, in one commit or not at all."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from hubtl.errors import HubtlError
from hubtl.hub.faults import explain, redact
from hubtl.hub.names import files_of, split_revision


@dataclass(frozen=True)
class PushResult:
    """What was pushed, or would be."""

    repo: str
    files: list[tuple[str, int]]  # name, bytes
    dry_run: bool = False
    url: str | None = None
    commit: str | None = None


def push(
    folder: Path | str,
    repo: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
    dry_run: bool = False,
) -> PushResult:
    """Push what belongs to the model: one commit, or nothing.

    Text that a person wrote into the repository's README outside hubtl's markers is kept. The run directory is not touched.
    Raises HubtlError saying what happened and the exact command that retries.
    """
    folder = Path(folder)
    name, asked = split_revision(repo)
    revision = revision or asked
    if not folder.is_dir() or not (folder / "config.json").exists() or not (folder / "model.safetensors").exists():
        raise HubtlError(f"{folder} holds no finished model", hint="give the output directory of a finished run")
    names = files_of(folder)
    sizes = [(n, (folder / n).stat().st_size) for n in names]
    readme = _rendered(folder, name, existing=None)
    if dry_run:
        return PushResult(name, sizes, dry_run=True)
    retry = _command(folder, name, private, revision, commit_message, create_pr)
    try:
        return _send(folder, name, names, sizes, private, revision, commit_message, create_pr, readme)
    except HubtlError:
        raise
    except Exception as error:
        raise explain(error, f"the push to {name} failed", retry=retry) from error


def check_push(repo: str) -> None:
    """Raise HubtlError for what would make a push fail anyway: a malformed name, no token, offline mode."""
    from huggingface_hub import get_token, is_offline_mode

    split_revision(repo)
    if is_offline_mode():
        raise HubtlError(
            "HF_HUB_OFFLINE is set: nothing can be pushed", hint="unset HF_HUB_OFFLINE, or leave --push-to-hub out"
        )
    if get_token() is None:
        raise HubtlError(
            "there is no token to push with", hint="hf auth login (or set HF_TOKEN), or leave --push-to-hub out"
        )


def _send(
    folder: Path,
    name: str,
    names: list[str],
    sizes: list[tuple[str, int]],
    private: bool | None,
    revision: str | None,
    message: str | None,
    create_pr: bool,
    readme: str | None,
) -> PushResult:
    from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
    from huggingface_hub.errors import LocalTokenNotFoundError

    if get_token() is None:
        raise LocalTokenNotFoundError("no token")
    api = HfApi()
    api.create_repo(name, private=private, exist_ok=True)
    if revision is not None and not create_pr:
        api.create_branch(name, branch=revision, exist_ok=True)
    if readme is not None:
        existing = _remote_readme(api, name, revision)
        readme = _rendered(folder, name, existing=existing) if existing else readme
    operations = [
        CommitOperationAdd(n, readme.encode() if n == "README.md" and readme is not None else str(folder / n))
        for n in names
    ]
    done = api.create_commit(
        name,
        operations,
        commit_message=message or "Push by hubtl",
        revision=revision,
        create_pr=create_pr,
    )
    url = str(done.pr_url or done.commit_url)
    if url.startswith("/"):
        url = constants.ENDPOINT.rstrip("/") + url
    return PushResult(name, sizes, url=url, commit=done.oid)


def _remote_readme(api: object, name: str, revision: str | None) -> str | None:
    """The README that is there already, or None."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        path = hf_hub_download(name, "README.md", revision=revision, force_download=True)
    except (EntryNotFoundError, LocalEntryNotFoundError):
        return None  # LocalEntryNotFoundError wraps a 404 of servers that do not say what is missing
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code == 404:
            return None
        raise
    return Path(path).read_text(encoding="utf-8")


def _rendered(folder: Path, name: str, *, existing: str | None) -> str | None:
    """The card for this repository, linted; None without a record. Raises HubtlError for what the Hub would refuse."""
    from hubtl.card import metadata, render
    from hubtl.record import RunRecord

    if not (folder / "record.json").exists():
        return None
    record = RunRecord.load(folder)
    if problems := metadata.problems(metadata.of(record, repo=name)):
        raise HubtlError(f"the Hub would refuse the card: {'; '.join(problems)}", hint=f"hubtl card {folder} --check")
    local = (folder / "README.md").read_text(encoding="utf-8") if (folder / "README.md").exists() else None
    return render(record, existing=existing or local, repo=name)


def load_snippet(folder: Path, repo: str) -> str:
    """Two lines of Python that load the pushed model."""
    facts = json.loads((folder / "hubtl.json").read_text(encoding="utf-8")) if (folder / "hubtl.json").exists() else {}
    if facts.get("library") == "timm":
        return f'import timm\nmodel = timm.create_model("hf-hub:{repo}", pretrained=True)'
    if facts.get("library") == "transformers":
        return (
            "from transformers import AutoModelForImageClassification\n"
            f'model = AutoModelForImageClassification.from_pretrained("{repo}")'
        )
    return f'import hubtl\nmodel = hubtl.load("{repo}")'


def _command(
    folder: Path, repo: str, private: bool | None, revision: str | None, message: str | None, create_pr: bool
) -> str:
    words = ["hubtl", "push", str(folder), repo]
    words += [] if private is None else ["--private"] if private else ["--public"]
    words += ["--revision", revision] if revision else []
    words += ["--commit-message", message] if message else []
    words += ["--create-pr"] if create_pr else []
    return redact(shlex.join(words))
