"""Remove the machine's folders from a run directory's files before a push."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from hubtl.errors import HubtlError
from hubtl.hub.tokens import any_in
from hubtl.io import plain
from hubtl.io.places import there
from hubtl.record import RunRecord

KEYS = ("dataset", "output_dir", "name")  # of a recipe, whose values may be paths; a class may be called /m/01abc
TEXTS = (".json", ".yaml", ".txt")
PATH = re.compile(r"(~|[A-Za-z]:[\\/]|[\\/]).*[\\/].+")


def published(folder: Path, name: str) -> Path | bytes:
    """Return a file of a run directory as pushed: folders in recipe and record keep only their last name."""
    path = folder / name
    if name == "record.json" and (folder / name).exists():
        record = RunRecord.load(folder)
        if (public := record_of(folder)) != record:
            return public.to_json().encode()
    if name == "recipe.yaml":
        try:
            raw = plain.parsed(plain.text_of(path))
        except (OSError, ValueError, yaml.YAMLError):
            return path
        if (told := _without(_paths(raw))(raw)) != raw:
            return yaml.safe_dump(told, sort_keys=False, allow_unicode=True).encode()
    return path


def refuse_tokens(folder: Path, names: list[str], card: str | None, *, retry: str) -> None:
    """Raise HubtlError for a file to push that contains a token."""
    for name in [*(name for name in names if name != "README.md" and name.endswith(TEXTS)), "README.md"]:
        content = (card or "").encode() if name == "README.md" else published(folder, name)
        text = content if isinstance(content, bytes) else content.read_bytes()
        if any_in(text.decode("utf-8", "replace")):
            raise HubtlError(
                f"{folder / name} has a token in it: it is not pushed",
                hint=f"take it out (and revoke it, if others saw it), then: {retry}",
            )


def record_of(folder: Path) -> RunRecord:
    """Return the record of a run, as pushed.

    Raises:
        HubtlError: if there is none, or it is not a record.
    """
    record = RunRecord.load(folder)
    raw = record.model_dump(mode="json")
    words = _words(raw["command"])
    typed = [part for word in words for part in (word, word.partition("=")[2])]
    paths = {*_paths(raw["recipe"]), *(part for part in typed if PATH.fullmatch(part))}
    told = _without(paths)({key: value for key, value in raw.items() if key != "command"})
    command = raw["command"] if not words or not paths else shlex.join(map(_without(paths), words))
    return RunRecord.model_validate({**told, "command": command})


def _paths(value: Any, key: str = "") -> Iterator[str]:
    """Yield the paths in a recipe, wherever they are."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _paths(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _paths(item, key)
    elif isinstance(value, str) and PATH.fullmatch(value) and (key in KEYS or there(value)):
        yield value


def _without(paths: Any) -> Callable[[Any], Any]:
    """Return a function that shortens these paths to their last names. It covers all nested texts."""
    home = str(Path.home())
    spelt = {text: text for text in paths}
    spelt |= {text.replace(home, "~", 1): text for text in spelt if text.startswith(home)}
    longest = sorted(spelt, key=len, reverse=True)

    def told(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: told(item) for key, item in value.items()}
        if isinstance(value, list):
            return [told(item) for item in value]
        if isinstance(value, str):
            for path in longest:
                value = value.replace(path, re.split(r"[\\/]", path.rstrip("\\/"))[-1])
        return value

    return told


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []
