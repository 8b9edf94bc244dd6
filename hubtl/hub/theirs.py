"""Read a repository's text before it is rewritten; unreadable text is never replaced."""

import tempfile
from pathlib import Path

from hubtl.errors import HubtlError
from hubtl.hub.faults import explain, status_of

LARGEST = 5_000_000  # bytes of a text that is merged with another


def text_of(
    repo: str, name: str, revision: str | None, *, listed: bool, size: int = 0, kind: str = "model", retry: str
) -> str | None:
    """Return a text file of a repository; None if there is none.

    Args:
        repo: the repository.
        name: the path.
        revision: the revision.
        listed: whether the repository's list has it.
        size: its size in the list, 0 if unknown.
        kind: ``model`` or ``space``.
        retry: the command to type again, for errors.

    Raises:
        HubtlError: for a listed file that cannot be read, since nothing may be written in its place.
    """
    from huggingface_hub import hf_hub_download

    kept = f"the {name} of {repo} cannot be read, so it is not overwritten, and nothing was pushed"
    if size > LARGEST:
        raise HubtlError(f"{kept}: it has {size:,} bytes", hint=f"make it shorter there, then: {retry}")
    with tempfile.TemporaryDirectory() as aside:  # in the cache it would look like a model that was pulled by half
        try:
            path = Path(hf_hub_download(repo, name, revision=revision, repo_type=kind, local_dir=aside))
            content = path.read_bytes()
        except Exception as error:
            if status_of(error) == 404 and not listed:
                return None
            if status_of(error) == 404:
                raise HubtlError(
                    f"{kept}: the Hub lists it, and does not find it (404)", hint=f"look at its page, then: {retry}"
                ) from error
            raise explain(error, kept, retry=retry) from error
    if len(content) > LARGEST or (size and len(content) != size):
        said = f" where the list has {size:,}" if size else ""
        raise HubtlError(f"{kept}: {len(content):,} bytes came{said}", hint=f"look at its page, then: {retry}")
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise HubtlError(
            f"{kept}: it is not UTF-8 text ({error.reason} at byte {error.start})",
            hint=f"save it as UTF-8 there, then: {retry}",
        ) from error
