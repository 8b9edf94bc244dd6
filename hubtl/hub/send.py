"""What a push sends: what the repository does not have yet, in one commit or none."""

import re
import shlex
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtl.hub.checksums import listing, same, size_of
from hubtl.hub.faults import by_xet, status_of
from hubtl.hub.private import published
from hubtl.hub.readme import check_card, others, prepare
from hubtl.settings import logger

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi
    from huggingface_hub.hf_api import RepoFile

# What the xet storage says of a token that it refuses, and that large file storage would refuse too. Its client raises
# no status, only words, in which a port or a name may have the same digits.
REFUSED = re.compile(r"\((401|403) ")


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


@dataclass(frozen=True)
class Sent:
    """What became of it."""

    sizes: dict[str, int]  # of all files of the model
    unchanged: list[str]  # those that the repository had already
    commit: str | None  # the new one, or the one that has all of it already
    url: str | None = None  # None: there was nothing to send
    revision: str | None = None  # of a pull request


def send(wish: Wish, names: list[str], card: str | None, announce: Callable[[Sent], None]) -> Sent:
    """Send the files of a run directory; ``announce`` hears of the plan before anything is uploaded.

    ``card`` is the README as it would be for a new repository, which is not made for a card that the Hub refuses.

    Raises whatever the client raises. Nothing is committed then, and what was uploaded is not uploaded again.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
    from huggingface_hub.errors import LocalTokenNotFoundError

    if get_token() is None:
        raise LocalTokenNotFoundError("no token")
    if card is not None:
        check_card(card)
    api = HfApi()
    _ensure_repo(api, wish)
    head, there = _remote(api, wish)
    readme = prepare(wish.folder, wish.repo, remote=_remote_readme(wish, head))
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
    done = _commit(api, wish, additions, head)
    url = str(done.pr_url or done.commit_url)
    if "://" not in url:
        url = f"{constants.ENDPOINT.rstrip('/')}/{url.lstrip('/')}"
    return Sent(sizes, unchanged, done.oid, url, done.pr_revision)


def _commit(api: "HfApi", wish: Wish, additions: "list[CommitOperationAdd]", head: str | None) -> "CommitInfo":
    """One commit; by large file storage where the Hub has no xet storage. The client decides by what it has installed."""
    from huggingface_hub import CommitOperationAdd

    def commit(operations: "list[CommitOperationAdd]") -> "CommitInfo":
        return api.create_commit(
            wish.repo,
            operations,
            commit_message=wish.message or "Push by hubtl",
            revision=wish.revision,
            create_pr=wish.create_pr,
            parent_commit=head,  # what is left out, and the README, were compared with this one
        )

    try:
        return commit(additions)
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
        return commit(opened)


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


def _remote(api: "HfApi", wish: Wish) -> "tuple[str | None, dict[str, RepoFile]]":
    """The commit that the push builds on and its files; neither in a repository that is empty."""
    try:
        head = api.model_info(wish.repo, revision=wish.revision).sha
        return head, listing(api, wish.repo, head or wish.revision)
    except Exception as error:
        if status_of(error) == 404:
            return None, {}
        raise


def _remote_readme(wish: Wish, head: str | None) -> str | None:
    """The README that is there already; None if there is none.

    Whatever else went wrong is raised: a README that could not be read must not be overwritten.
    """
    from huggingface_hub import hf_hub_download

    with tempfile.TemporaryDirectory() as aside:  # in the cache it would look like a model that was pulled by half
        try:
            path = hf_hub_download(wish.repo, "README.md", revision=head or wish.revision, local_dir=aside)
        except Exception as error:
            if status_of(error) == 404:
                return None
            raise
        return Path(path).read_text(encoding="utf-8")
