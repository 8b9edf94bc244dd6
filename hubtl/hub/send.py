"""Send the files that a repository lacks, in one commit or none."""

import re
import shlex
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtl.errors import HubtlError
from hubtl.hub.checksums import listing, same, size_of
from hubtl.hub.faults import by_xet, explain, failures, status_of
from hubtl.hub.landing import Place, commit
from hubtl.hub.network import ready
from hubtl.hub.patience import SLOW, patiently
from hubtl.hub.private import published
from hubtl.hub.readme import check_card, others, prepare
from hubtl.hub.theirs import text_of
from hubtl.settings import logger

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi
    from huggingface_hub.hf_api import RepoFile

# What the xet storage says of a token that it refuses, and that large file storage would refuse too. Its client raises
# no status, only words, in which a port or a name may have the same digits.
REFUSED = re.compile(r"\((401|403) ")


@dataclass(frozen=True)
class Wish:
    """Hold the user's request."""

    folder: Path
    repo: str
    private: bool | None
    revision: str | None
    message: str | None
    create_pr: bool

    @property
    def command(self) -> str:
        """Return the command line that repeats it."""
        words = ["hubtl", "push", str(self.folder), self.repo]
        words += [] if self.private is None else ["--private"] if self.private else ["--public"]
        words += ["--revision", self.revision] if self.revision else []
        words += ["--commit-message", self.message] if self.message else []
        words += ["--create-pr"] if self.create_pr else []
        return shlex.join(words)


@dataclass(frozen=True)
class Sent:
    """Describe the result of a push."""

    sizes: dict[str, int]  # of all files of the model
    unchanged: list[str]  # those that the repository had already
    commit: str | None  # the new one, or the one that has all of it already
    url: str | None = None  # None: there was nothing to send
    revision: str | None = None  # of a pull request


def send(wish: Wish, names: list[str], card: str | None, announce: Callable[[Sent], None]) -> Sent:
    """Send the files of a run directory.

    Nothing is committed after an error of the client, and uploaded files are not uploaded again.

    Args:
        wish: the user's request.
        names: the files.
        card: the README for a new repository; none is created for a card that the Hub refuses.
        announce: called with the plan before anything is uploaded.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import LocalTokenNotFoundError

    if get_token() is None:
        raise LocalTokenNotFoundError("no token")
    ready()
    if card is not None:
        check_card(card)
    api = HfApi()
    _ensure_repo(api, wish)
    try:
        return _send(api, wish, names, announce)
    except Exception as error:
        if not _is_empty(api, wish):
            raise
        fault = explain(error, f"the push to {wish.repo} failed", retry=wish.command)
        raise HubtlError(
            f"{fault}; the repository is there, and empty (hf repos delete {wish.repo} deletes it)", hint=fault.hint
        ) from error


def _send(api: "HfApi", wish: Wish, names: list[str], announce: Callable[[Sent], None]) -> Sent:
    from huggingface_hub import CommitOperationAdd

    head, there, named = _remote(api, wish)
    size = there["README.md"].size if "README.md" in there else 0
    listed = "README.md" in named
    remote = text_of(wish.repo, "README.md", head or wish.revision, listed=listed, size=size, retry=wish.command)
    readme = prepare(wish.folder, wish.repo, remote=remote)
    if readme is not None and (kept := others(wish.folder, readme)):
        logger.warning("README.md says what is not of this run, and it stays: %s", "; ".join(kept))
    content: dict[str, Path | bytes] = {name: published(wish.folder, name) for name in names}
    if readme is not None:
        content["README.md"] = readme.encode()
    sizes = {n: size_of(c) for n, c in sorted(content.items())}
    unchanged = [name for name in sizes if name in there and same(content[name], there[name])]
    plan = Sent(sizes, unchanged, head)
    announce(plan)
    if len(unchanged) == len(sizes):
        return plan
    new = {name: content[name] for name in sizes if name not in unchanged}
    additions = [CommitOperationAdd(n, c if isinstance(c, bytes) else str(c)) for n, c in new.items()]
    place = Place(wish.repo, wish.revision, head, wish.create_pr, wish.command)
    done = commit(api, place, lambda: _commit(api, wish, additions, head), new)
    return Sent(sizes, unchanged, done.commit, done.url, done.revision)


def _commit(api: "HfApi", wish: Wish, additions: "list[CommitOperationAdd]", head: str | None) -> "CommitInfo":
    """Make one commit; by large file storage where the Hub has no xet storage.

    The client decides by what it has installed.
    """
    from huggingface_hub import CommitOperationAdd

    def sent(operations: "list[CommitOperationAdd]") -> "CommitInfo":
        return api.create_commit(
            wish.repo,
            operations,
            commit_message=wish.message or "Push by hubtl",
            revision=wish.revision,
            create_pr=wish.create_pr,
            parent_commit=head,  # what is left out, and the README, were compared with this one
        )

    try:
        return sent(additions)
    except Exception as error:
        if not by_xet(error) or REFUSED.search(str(error)):
            raise
        logger.info("the Hub's xet storage does not answer (%s): sending by LFS", " ".join(str(error).split())[:200])
    with ExitStack() as stack:  # the client has open files go over LFS
        opened = [
            CommitOperationAdd(a.path_in_repo, stack.enter_context(Path(a.path_or_fileobj).open("rb")))
            if isinstance(a.path_or_fileobj, str)
            else CommitOperationAdd(a.path_in_repo, a.path_or_fileobj)
            for a in additions
        ]
        return sent(opened)


def _ensure_repo(api: "HfApi", wish: Wish) -> None:
    """Create the repository and the branch where they are missing."""
    from huggingface_hub.errors import HfHubHTTPError

    if not _is_there(api, wish):
        try:
            patiently(lambda: api.create_repo(wish.repo, private=wish.private, exist_ok=True))
        except HfHubHTTPError:
            raise
        except (LookupError, TypeError, ValueError):
            pass  # made, or there already: the answer only lacks a URL that the client can read
    if wish.revision not in (None, "main") and not str(wish.revision).startswith("refs/"):
        patiently(lambda: api.create_branch(wish.repo, branch=str(wish.revision), exist_ok=True))


def _is_there(api: "HfApi", wish: Wish) -> bool:
    """Return whether the repository exists; it may have been renamed."""
    try:
        found = patiently(lambda: api.model_info(wish.repo, timeout=SLOW))
    except Exception as error:
        if status_of(error) == 404:
            return False
        raise
    if isinstance(found.id, str) and "/" in found.id and found.id != wish.repo:
        logger.info("the Hub calls the repository %s %s", wish.repo, found.id)
    return True


def _remote(api: "HfApi", wish: Wish) -> "tuple[str | None, dict[str, RepoFile], set[str]]":
    """Return the remote commit, its files with ids, and all names. The push builds on that commit.

    Everything is empty for an empty repository.
    """
    try:
        info = patiently(lambda: api.model_info(wish.repo, revision=wish.revision, timeout=SLOW))
    except Exception as error:
        if status_of(error) == 404:
            return None, {}, set()
        raise
    named = {file.rfilename for file in info.siblings or []}
    head = info.sha if isinstance(info.sha, str) else None
    try:
        there = listing(api, wish.repo, head or wish.revision)
    except Exception as error:
        if status_of(error) == 404 and not named:
            return None, {}, set()
        raise
    return head, there, named | set(there)


def _is_empty(api: "HfApi", wish: Wish) -> bool:
    """Return whether the repository exists and is empty; False where the Hub cannot be reached."""
    try:
        found = api.model_info(wish.repo, timeout=SLOW)
        return {file.rfilename for file in found.siblings or []} <= {".gitattributes"}
    except failures():
        return False
