"""A run directory to a repository, in one commit or not at all."""

import json
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtl.errors import HubtlError
from hubtl.hub.faults import explain, status_of
from hubtl.hub.names import files_of, split_revision
from hubtl.hub.readme import prepare

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class PushResult:
    """What was pushed, or would be."""

    repo: str
    files: list[tuple[str, int]]  # name, bytes
    dry_run: bool = False
    url: str | None = None  # of the commit, or of the pull request
    commit: str | None = None
    revision: str | None = None  # the branch, where one was named


@dataclass(frozen=True)
class Wish:
    """What the user asked for."""

    folder: Path
    repo: str
    private: bool | None
    revision: str | None
    message: str | None
    create_pr: bool

    @property
    def command(self) -> str:
        """The command line that asks for it again."""
        words = ["hubtl", "push", str(self.folder), self.repo]
        words += [] if self.private is None else ["--private"] if self.private else ["--public"]
        words += ["--revision", self.revision] if self.revision else []
        words += ["--commit-message", self.message] if self.message else []
        words += ["--create-pr"] if self.create_pr else []
        return shlex.join(words)


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

    Text that a person wrote into a README outside hubtl's markers is kept, here and in the repository. The run
    directory is not touched. ``private`` counts only for a repository that is new; a branch that is missing is made.
    Raises HubtlError saying what happened and the exact command that retries.
    """
    folder = Path(folder)
    name, asked = split_revision(repo)
    revision = revision or asked
    if revision is not None:
        split_revision(f"{name}@{revision}")
    if create_pr and revision not in (None, "main"):
        raise HubtlError(
            f"a pull request goes to main, not to {revision}", hint="leave out either --create-pr or --revision"
        )
    wish = Wish(folder, name, private, revision, commit_message, create_pr)
    names = _finished(folder)
    readme = prepare(folder, name)
    if dry_run:
        return PushResult(name, _sizes(folder, names, readme), dry_run=True, revision=revision)
    try:
        return _send(wish, names)
    except HubtlError:
        raise
    except Exception as error:
        raise explain(error, f"the push to {name} failed", retry=wish.command) from error


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


def load_snippet(folder: Path, repo: str, revision: str | None = None) -> str:
    """Two lines of Python that load the pushed model."""
    path = folder / "hubtl.json"
    facts = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    library = facts.get("library") if facts.get("native", True) else "hubtl"
    at = f"@{revision}" if revision else ""
    if library == "timm":
        return f'import timm\nmodel = timm.create_model("hf-hub:{repo}{at}", pretrained=True)'
    if library == "transformers":
        wanted = f', revision="{revision}"' if revision else ""
        modality = next(iter(facts.get("modalities") or ["image"]))
        kind = {"text": "Sequence", "audio": "Audio"}.get(modality, "Image")
        return (
            f"from transformers import AutoModelFor{kind}Classification\n"
            f'model = AutoModelFor{kind}Classification.from_pretrained("{repo}"{wanted})'
        )
    needs = "  # pip install hubtl hubtl-multimodal" if facts.get("architecture") == "multimodal" else ""
    return f'import hubtl{needs}\nmodel = hubtl.load("{repo}{at}")'


def _finished(folder: Path) -> list[str]:
    """The files to push. Raises HubtlError for a folder without a model in it."""
    names = files_of(folder) if folder.is_dir() else []
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise HubtlError(f"{folder} holds no finished model", hint="give the output directory of a finished run")
    if "record.json" in names:
        from hubtl.record import RunRecord

        if (status := RunRecord.load(folder).status) != "finished":
            raise HubtlError(
                f"the run in {folder} is not finished ({status})", hint=f"hubtl adapt --resume --output-dir {folder}"
            )
    return names


def _sizes(folder: Path, names: list[str], readme: str | None) -> list[tuple[str, int]]:
    sizes = {name: (folder / name).stat().st_size for name in names}
    if readme is not None:
        sizes["README.md"] = len(readme.encode())
    return sorted(sizes.items())


def _send(wish: Wish, names: list[str]) -> PushResult:
    from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
    from huggingface_hub.errors import LocalTokenNotFoundError

    if get_token() is None:
        raise LocalTokenNotFoundError("no token")
    api = HfApi()
    _ensure_repo(api, wish)
    readme = prepare(wish.folder, wish.repo, remote=_remote_readme(wish))
    operations = [CommitOperationAdd(n, str(wish.folder / n)) for n in names if n != "README.md"]
    if readme is not None:
        operations.insert(0, CommitOperationAdd("README.md", readme.encode()))
    done = api.create_commit(
        wish.repo,
        operations,
        commit_message=wish.message or "Push by hubtl",
        revision=wish.revision,
        create_pr=wish.create_pr,
    )
    url = str(done.pr_url or done.commit_url)
    if "://" not in url:
        url = f"{constants.ENDPOINT.rstrip('/')}/{url.lstrip('/')}"
    sizes = _sizes(wish.folder, names, readme)
    return PushResult(wish.repo, sizes, url=url, commit=done.oid, revision=wish.revision)


def _ensure_repo(api: "HfApi", wish: Wish) -> None:
    """The repository and the branch, made where they are missing."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        api.create_repo(wish.repo, private=wish.private, exist_ok=True)
    except HfHubHTTPError:
        raise
    except (KeyError, ValueError):
        pass  # made, or there already: the answer only lacks a URL that the client can read
    if wish.revision not in (None, "main") and not str(wish.revision).startswith("refs/"):
        api.create_branch(wish.repo, branch=str(wish.revision), exist_ok=True)


def _remote_readme(wish: Wish) -> str | None:
    """The README that is there already; None if there is none.

    Whatever else went wrong is raised: a README that could not be read must not be overwritten.
    """
    from huggingface_hub import hf_hub_download

    with tempfile.TemporaryDirectory() as aside:  # in the cache it would look like a model that was pulled by half
        try:
            path = hf_hub_download(wish.repo, "README.md", revision=wish.revision, local_dir=aside)
        except Exception as error:
            if status_of(error) == 404:
                return None
            raise
        return Path(path).read_text(encoding="utf-8")
