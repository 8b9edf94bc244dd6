"""Commit changes of a few files on top of a given commit. They were read from that very commit."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hubtl.errors import HubtlError
from hubtl.hub.faults import explain, failures, status_of
from hubtl.hub.landing import Place, commit
from hubtl.hub.network import ready
from hubtl.hub.patience import SLOW, patiently
from hubtl.hub.push import check_token
from hubtl.hub.theirs import text_of

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo


class Amended(NamedTuple):
    url: str  # of the commit, or of the pull request
    commit: str


def amend(
    repo: str,
    files: Mapping[str, bytes],
    *,
    parent: str,
    message: str,
    branch: str | None = None,
    create_pr: bool = False,
    retry: str,
) -> Amended:
    """Write files into a repository on top of ``parent``. It is one commit, or a pull request.

    Args:
        repo: the repository.
        files: content by path.
        parent: the commit that they were read from.
        message: the commit message.
        branch: the branch to commit to.
        create_pr: open a pull request instead.
        retry: the command to type again, for errors.

    Raises:
        HubtlError: with the cause and the command that retries; a repository that has changed since ``parent`` is left
            unchanged.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    check_token(repo, flag="--record")
    ready()
    api, place = HfApi(), Place(repo, branch, parent, create_pr, retry)

    def send() -> "CommitInfo":
        return api.create_commit(
            repo,
            [CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message=message,
            revision=branch,
            create_pr=create_pr,
            parent_commit=parent,
        )

    try:
        done = commit(api, place, send, files)
    except HubtlError:
        raise
    except Exception as error:
        if status_of(error) == 412:
            raise HubtlError(f"{repo} has changed while its model was evaluated", hint=retry) from error
        raise explain(error, f"the evaluation could not be added to {repo}", retry=retry) from error
    return Amended(done.url, done.commit)


def card_at(repo: str, snapshot: Path, *, retry: str) -> str | None:
    """Return the README of a pulled commit; None if the repository has none there.

    A file that the cache lacks is looked up on the Hub.

    Raises:
        HubtlError: for a README that cannot be read.
    """
    from huggingface_hub import HfApi

    path = snapshot / "README.md"
    if path.exists():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise HubtlError(
                f"the README.md of {repo} cannot be read, so it is not overwritten, and nothing was pushed: {error}",
                hint=f"save it as UTF-8 text there, then: {retry}",
            ) from error
    ready()
    try:
        info = patiently(lambda: HfApi().model_info(repo, revision=snapshot.name, timeout=SLOW))
    except failures() as error:
        raise explain(error, f"the evaluation could not be added to {repo}", retry=retry) from error
    listed = "README.md" in {file.rfilename for file in info.siblings or []}
    return text_of(repo, "README.md", snapshot.name, listed=listed, retry=retry)
