"""Prepare the README of a push: rendered for its repository, with people's text kept."""

from pathlib import Path

from hubtl.errors import HubtlError
from hubtl.hub.faults import CARD
from hubtl.hub.network import ready
from hubtl.hub.private import record_of
from hubtl.settings import logger


def prepare(folder: Path, repo: str, *, remote: str | None = None) -> str | None:
    """Return the README for ``repo``: from the record, or the folder's own; None without either.

    Args:
        folder: the run directory.
        repo: the repository.
        remote: the repository's README.

    Raises:
        HubtlError: for what the Hub would refuse.
    """
    from hubtl.card import document, metadata, render

    path = folder / "README.md"
    local = _read(path) if path.exists() else None
    if not (folder / "record.json").exists():
        text, existing = local, local
    else:
        existing = combine(local, remote) if local and remote else remote or local
        text = render(record_of(folder), existing=existing, repo=repo)
    if text is None:
        return None
    if problems := metadata.problems(document.parse(text).metadata):
        where = f"the README in {repo}" if remote and existing == remote else str(path)
        raise HubtlError(
            f"{where}: the Hub would refuse its metadata: {'; '.join(problems)}", hint=f"edit the top of {where}"
        )
    return text


def others(folder: Path, text: str) -> list[str]:
    """Return a person's facts in a README that differ from the run's: ``key: value``."""
    from hubtl.card import document, metadata

    if not (folder / "record.json").exists():
        return []
    ours, said = metadata.of(record_of(folder)), document.parse(text).metadata
    keys = [key for key in document.OURS if key != document.INDEX and key in said]
    return [f"{key}: {said[key]}" for key in keys if said[key] != ours.get(key)]


def check_card(text: str) -> None:
    """Ask the Hub whether it accepts a README's metadata.

    A Hub that gives no useful answer is asked again by the push.

    Raises:
        ValueError: as the client does while pushing, in the Hub's words.
        HfHubHTTPError: for a refused token.
    """
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, httpx

    ready()
    where, asked = f"{constants.ENDPOINT}/api/validate-yaml", {"content": text, "repoType": "model"}
    try:
        answer = get_session().post(where, json=asked, headers=build_hf_headers())
        found = answer.json() if answer.status_code == 400 else {}
    except (httpx.TransportError, ValueError):
        logger.debug("%s cannot be asked about the card", where)
        return
    errors = found.get("errors", []) if isinstance(found, dict) else []
    if words := [str(error.get("message")) for error in errors if isinstance(error, dict)]:
        raise ValueError("\n- ".join([CARD, *words]))
    if answer.status_code == 401:
        hf_raise_for_status(answer)


def combine(local: str, remote: str) -> str:
    """Combine two READMEs without losing a person's text: the remote's, then the local one's.

    For a metadata key that a person changed in the local one, the local value counts.
    """
    from hubtl.card import document

    here, there = document.parse(local), document.parse(remote)
    written = here.memory.get("metadata", {})
    changed = {k: v for k, v in here.metadata.items() if k != document.INDEX and v != written.get(k)}
    for key in document.UNITED:
        theirs = there.metadata.get(key)
        if isinstance(changed.get(key), list) and isinstance(theirs, list):
            changed[key] = theirs + [v for v in changed[key] if v not in theirs]
    results = document.persons_results(there.metadata.get(document.INDEX), there.memory)
    ours = document.persons_results(here.metadata.get(document.INDEX), here.memory)
    if new := [model for model in ours if model not in results]:
        changed[document.INDEX] = results + new
    front = document.front_matter({**there.metadata, **changed}).rstrip("\n")
    generated = "" if there.generated is None else f"{document.START}{there.generated}{document.END}"
    pieces = [front, _both(there.before, here.before), generated, _both(there.after, here.after)]
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


def _both(theirs: str, ours: str) -> str:
    """Combine two texts; the longer alone where it contains the other."""
    theirs, ours = theirs.strip("\n"), ours.strip("\n")
    if ours in theirs:
        return theirs
    return ours if theirs in ours else f"{theirs}\n\n{ours}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HubtlError(f"{path} cannot be read: {error}", hint="save it as UTF-8 text") from error
