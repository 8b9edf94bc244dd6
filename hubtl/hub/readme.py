"""The README that is pushed: rendered for its repository, with what people wrote here and there kept."""

from pathlib import Path

import yaml

from hubtl.errors import HubtlError


def prepare(folder: Path, repo: str, *, remote: str | None = None) -> str | None:
    """The README for ``repo``: from the record, or the folder's own as it is; None without either.

    ``remote`` is the README that the repository has. Raises HubtlError for what the Hub would refuse.
    """
    from hubtl.card import document, metadata, render
    from hubtl.record import RunRecord

    path = folder / "README.md"
    local = _read(path) if path.exists() else None
    if not (folder / "record.json").exists():
        text, existing = local, local
    else:
        existing = combine(local, remote) if local and remote else remote or local
        text = render(RunRecord.load(folder), existing=existing, repo=repo)
    if text is None:
        return None
    if problems := metadata.problems(document.parse(text).metadata):
        where = f"the README in {repo}" if remote and existing == remote else str(path)
        raise HubtlError(
            f"{where}: the Hub would refuse its metadata: {'; '.join(problems)}", hint=f"edit the top of {where}"
        )
    return text


def combine(local: str, remote: str) -> str:
    """One README of two, in which nothing that a person wrote is lost: the remote's text, then what only the local one has.

    Of a metadata key that a person changed in the local one, the local value counts.
    """
    from hubtl.card import document

    here, there = document.parse(local), document.parse(remote)
    written = here.memory.get("metadata", {})
    changed = {k: v for k, v in here.metadata.items() if k not in document.OURS and v != written.get(k)}
    for key in document.UNITED:
        theirs = there.metadata.get(key)
        if isinstance(changed.get(key), list) and isinstance(theirs, list):
            changed[key] = theirs + [v for v in changed[key] if v not in theirs]
    front = yaml.safe_dump({**there.metadata, **changed}, sort_keys=False, allow_unicode=True, width=10_000)
    generated = "" if there.generated is None else f"{document.START}{there.generated}{document.END}"
    pieces = [f"---\n{front}---", _both(there.before, here.before), generated, _both(there.after, here.after)]
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


def _both(theirs: str, ours: str) -> str:
    """Two texts as one; the longer alone where it holds the other."""
    theirs, ours = theirs.strip("\n"), ours.strip("\n")
    if ours in theirs:
        return theirs
    return ours if theirs in ours else f"{theirs}\n\n{ours}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HubtlError(f"{path} cannot be read: {error}", hint="save it as UTF-8 text") from error
