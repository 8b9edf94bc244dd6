"""A commit that changes a few files of a repository, built on the very commit that they were read from."""

from collections.abc import Mapping
from typing import NamedTuple

from hubtl.errors import HubtlError
from hubtl.hub.faults import explain, status_of
from hubtl.hub.push import check_push


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
    """Write ``files`` into a repository in one commit on top of ``parent``, or as a pull request.

    Raises HubtlError saying what happened and the command that retries; a repository that has moved on from ``parent``
    is left as it is.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, constants

    check_push(repo, flag="--record")
    try:
        done = HfApi().create_commit(
            repo,
            [CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message=message,
            revision=branch,
            create_pr=create_pr,
            parent_commit=parent,
        )
    except Exception as error:
        if status_of(error) == 412:
            raise HubtlError(f"{repo} has changed while its model was evaluated", hint=retry) from error
        raise explain(error, f"the evaluation could not be added to {repo}", retry=retry) from error
    url = str(done.pr_url or done.commit_url)
    return Amended(url if "://" in url else f"{constants.ENDPOINT.rstrip('/')}/{url.lstrip('/')}", done.oid)
