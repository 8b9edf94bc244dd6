"""Find a commit whose answer was lost: it is looked up, never guessed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hubtl.errors import HubtlError
from hubtl.hub.checksums import listing, same
from hubtl.hub.faults import explain, failures, status_of
from hubtl.hub.patience import AGAIN, SLOW, UNDONE, patiently
from hubtl.settings import logger, page

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, HfApi

MOVED = (409, 412)  # what a second try is answered whose first was carried out
WITHOUT = (400, 403, 404, 405, 501)  # of a server that has no pull requests, or none for this token


class Place(NamedTuple):
    """Name where a commit should go."""

    repo: str
    branch: str | None
    head: str | None  # the commit that it was built on
    create_pr: bool
    command: str  # that sends it
    kind: str = "model"

    def page(self, *parts: str) -> str:
        return page(*([f"{self.kind}s"] if self.kind != "model" else []), self.repo, *parts)


class Landing(NamedTuple):
    """Name where a commit is."""

    url: str  # of its page, or of the pull request's
    commit: str
    revision: str | None = None  # of a pull request


def commit(
    api: "HfApi", place: Place, send: "Callable[[], CommitInfo]", content: Mapping[str, Path | bytes]
) -> Landing:
    """Make a commit by ``send`` and return its place. It is sent again where the Hub is busy.

    Args:
        api: the client.
        place: where it should go.
        send: makes the commit.
        content: content by path.

    Raises:
        HubtlError: for a pull request that was not opened.
        Exception: any other error of the client, with nothing committed.
    """
    try:
        done = patiently(send, again=UNDONE if place.create_pr else AGAIN)  # there may be two requests otherwise
    except Exception as error:
        if place.create_pr and (fault := no_request(api, place, error)):
            raise fault from error
        there = None if place.create_pr else landed(api, place, error, content)
        if there is None:
            raise
        return Landing(place.page("commit", there), there)
    where = ("discussions", str(done.pr_num)) if done.pr_url else ("commit", done.oid)
    return Landing(place.page(*where), done.oid, done.pr_revision)


def landed(api: "HfApi", place: Place, error: Exception, content: Mapping[str, Path | bytes]) -> str | None:
    """Return the commit that has the content, or None. Sending it failed nevertheless.

    It may follow a lost or unreadable answer, or one of a server that was too slow for its own gateway.
    """
    status = status_of(error)
    if status is not None and status not in AGAIN and status not in MOVED and status >= 300:
        return None
    try:
        head = api.repo_info(place.repo, repo_type=place.kind, revision=place.branch, timeout=SLOW).sha
        there = listing(api, place.repo, head, place.kind)
    except failures():
        return None
    if head in (None, place.head) or not all(n in there and same(c, there[n]) for n, c in content.items()):
        return None
    logger.warning("the Hub did not say so, but the commit is there: %s", head)
    return str(head)


def no_request(api: "HfApi", place: Place, error: Exception) -> HubtlError | None:
    """Return the error for a failed pull request. It was refused, or its answer does not name it.

    None for any other fault.
    """
    response = getattr(error, "response", None)
    unsaid = response is None and isinstance(error, (LookupError, TypeError, ValueError, AttributeError))
    if not unsaid and (response is None or not _of_request(response)):
        return None
    try:
        main = api.repo_info(place.repo, repo_type=place.kind, timeout=SLOW).sha
    except failures():
        return None
    if main != place.head:
        return HubtlError(
            f"{place.repo}: this Hub opened no pull request, and main has changed meanwhile: its commit is now {main}",
            hint=f"look at {place.page('commit', str(main))}: if it is this push, the Hub has no pull requests",
        )
    if unsaid:
        said = explain(error, f"{place.repo}: whether a pull request was opened is not known; main is as it was")
        return HubtlError(str(said), hint=f"look at {place.page('discussions')}, then: {place.command}")
    said = explain(error, f"{place.repo}: the Hub opened no pull request; main is as it was")
    own = place.command.replace(" --create-pr", "")
    return HubtlError(str(said), hint=f"to write to {place.repo} itself, or to a repository of your own: {own}")


def _of_request(response: Any) -> bool:
    """Return whether an answer refuses a pull request as such. A refused token or repository is no such case."""
    asked = "create_pr" in response.request.url.query.decode()
    return asked and response.status_code in WITHOUT and "x-error-code" not in response.headers
