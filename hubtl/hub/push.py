"""Push a run directory in one commit, or not at all. It goes to a repository."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubtl.errors import HubtlError
from hubtl.hub.access import check_access
from hubtl.hub.checksums import size_of
from hubtl.hub.faults import explain
from hubtl.hub.names import files_of, split_revision
from hubtl.hub.private import published, refuse_tokens
from hubtl.hub.readme import check_card, prepare
from hubtl.hub.send import Sent, Wish, send
from hubtl.hub.tokens import redact
from hubtl.io import plain
from hubtl.io.shown import typed
from hubtl.plugins import modalities
from hubtl.plugins.modalities import USUAL
from hubtl.record.needs import packages_in


@dataclass(frozen=True)
class PushResult:
    """Describe what was pushed, or would be."""

    repo: str
    files: list[tuple[str, int]]  # name, bytes
    dry_run: bool = False
    url: str | None = None  # of the commit, or of the pull request; None: there was nothing to send
    commit: str | None = None  # where the files are
    revision: str | None = None  # the branch, where one was named, or the pull request
    unchanged: list[str] = field(default_factory=list)  # names that the repository had already: they were not sent


def push(
    folder: Path | str,
    repo: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
    dry_run: bool = False,
    announce: Callable[[PushResult], None] = lambda plan: None,
) -> PushResult:
    """Push the model's files that the repository lacks: one commit, or nothing.

    Text that a person wrote into a README outside hubtl's markers is kept, here and in the repository, and so are keys
    of its metadata. The run directory is not changed. A missing branch is created.

    Args:
        folder: the run directory.
        repo: ``user/repo``.
        private: create the repository as private; no effect on an existing one.
        revision: the branch.
        commit_message: the commit message.
        create_pr: open a pull request instead.
        dry_run: upload nothing.
        announce: called with the plan before anything is uploaded.

    Raises:
        HubtlError: with the cause and the exact command that retries.
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
    message = None if commit_message is None else redact(commit_message)
    wish = Wish(folder, name, private, revision, message, create_pr)
    names = _finished(folder)
    readme = prepare(folder, name)
    refuse_tokens(folder, names, readme, retry=wish.command)
    if dry_run:
        return PushResult(name, [*_sizes(folder, names, readme).items()], dry_run=True, revision=revision)

    def result(sent: Sent) -> PushResult:
        at = sent.revision or revision
        return PushResult(name, [*sent.sizes.items()], False, sent.url, sent.commit, at, sent.unchanged)

    try:
        return result(send(wish, names, readme, lambda plan: announce(result(plan))))
    except HubtlError:
        raise
    except Exception as error:
        raise explain(error, f"the push to {name} failed", retry=wish.command) from error


def check_push(repo: str, card: str | None = None, *, flag: str = "--push-to-hub") -> None:
    """Raise HubtlError for anything that would make a push fail.

    That is a malformed name, no token, offline mode, or no right to write. With a card the Hub is asked whether it
    would refuse the card instead.

    Args:
        repo: ``user/repo``.
        card: the card's text.
        flag: the flag that asked for the push.
    """
    check_token(repo, flag=flag)
    if card is None:
        check_access(split_revision(repo)[0], flag=flag)
        return
    try:
        check_card(card)
    except Exception as error:
        raise explain(error, f"a push to {repo} would fail", retry=f"try again, or leave {flag} out") from error


def check_token(repo: str, *, flag: str) -> None:
    """Raise HubtlError for anything that would make a push fail. Only what shows without the Hub is checked."""
    from huggingface_hub import get_token, is_offline_mode

    split_revision(repo)
    if is_offline_mode():
        raise HubtlError(
            "HF_HUB_OFFLINE is set: nothing can be pushed", hint=f"unset HF_HUB_OFFLINE, or leave {flag} out"
        )
    if get_token() is None:
        raise HubtlError("there is no token to push with", hint=f"hf auth login (or set HF_TOKEN), or leave {flag} out")


def facts_of(folder: Path) -> dict[str, Any]:
    """Return ``hubtl.json``, or nothing.

    Raises:
        HubtlError: for one that cannot be read.
    """
    path = folder / "hubtl.json"
    try:
        return plain.object_of(path) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise HubtlError(f"{path} cannot be read: {error}", hint="save the model again") from error


def load_snippet(folder: Path, repo: str, revision: str | None = None) -> str:
    """Return two lines of Python that load the pushed model."""
    facts = facts_of(folder)
    library = facts.get("library") if facts.get("native", True) else "hubtl"
    at = f"@{revision}" if revision else ""
    if library == "timm":
        return f'import timm\nmodel = timm.create_model("hf-hub:{repo}{at}", pretrained=True)'
    if library == "transformers":
        from hubtl.card.snippet import needs_code

        wanted = f', revision="{revision}"' if revision else ""
        if needs_code(facts.get("input")):
            wanted += ", trust_remote_code=True"
        known = modalities.known(next(iter(facts.get("modalities") or [USUAL])))
        auto = known.auto[0] if known is not None and known.auto else "AutoModel"
        return f'from transformers import {auto}\nmodel = {auto}.from_pretrained("{repo}"{wanted})'
    own = packages_in(facts)
    needs = f"  # pip install hubtl {' '.join(own)}" if own else ""
    return f'import hubtl{needs}\nmodel = hubtl.load("{repo}{at}")'


def _finished(folder: Path) -> list[str]:
    """Return the files to push.

    Raises:
        HubtlError: for a folder without a model in it.
    """
    names = files_of(folder) if folder.is_dir() else []
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise HubtlError(f"{folder} holds no finished model", hint="give the output directory of a finished run")
    if "record.json" in names:
        from hubtl.record import RunRecord

        if (status := RunRecord.load(folder).status) != "finished":
            raise HubtlError(
                f"the run in {folder} is not finished ({status})",
                hint=f"hubtl adapt --resume --output-dir {typed(folder)}",
            )
    return names


def _sizes(folder: Path, names: list[str], readme: str | None) -> dict[str, int]:
    sizes = {name: size_of(published(folder, name)) for name in names}
    if readme is not None:
        sizes["README.md"] = len(readme.encode())
    return dict(sorted(sizes.items()))
