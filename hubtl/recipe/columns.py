"""Columns of modalities, as recipes and flags name them: ``--column image=photo``."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hubtl.plugins import modalities

OLD = "_column"  # image_column: what a key was called when each modality had one of its own


def parsed(value: Any) -> Any:
    """Return columns by modality. They come from a mapping, ``image=photo``, or several of these.

    Raises ValueError for a text of another form, a modality that no package brings, and one that is given twice.
    """
    if isinstance(value, Mapping):
        found = {str(name): column for name, column in value.items() if column is not None}
    elif isinstance(value, str | list | tuple):
        found = {}
        for pair in [value] if isinstance(value, str) else value:
            name, equals, column = (part.strip() for part in str(pair).partition("="))
            if not equals or not name or not column:
                raise ValueError(f"{pair} is not MODALITY=NAME")
            if name in found:
                raise ValueError(f"{name} is given twice")
            found[name] = column
    else:
        return value
    if not found:
        return None
    for name in found:
        modalities.check_name(name)
    return found


def moved(section: Any) -> Any:
    """Return the section ``data`` with old keys as columns. ``image_column`` and the like are keys of earlier versions."""
    if not isinstance(section, Mapping) or not (old := list(olds(section))):
        return section
    rest = {key: value for key, value in section.items() if key not in old}
    named = {key.removesuffix(OLD): section[key] for key in old if section[key] is not None}
    given = parsed(rest.get("columns")) or {}
    return {**rest, "columns": {**given, **named}} if named or given else rest


def settled(section: Any) -> Any:
    """Return the section ``data`` with its columns as a mapping; unchanged where they are wrong, which parsing reports."""
    try:
        section = moved(section)
        if isinstance(section, Mapping) and section.get("columns") is not None:
            return {**section, "columns": parsed(section["columns"])}
    except ValueError:
        pass
    return section


def single(changes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield a recipe's changes, one for each modality's column: ``data.columns.image``.

    The others of a recipe then stay. Columns that are wrong are yielded as they are, which parsing reports.
    """
    old = {f"data.{name}": f"data.columns.{name.removesuffix(OLD)}" for name in olds(_within(changes))}
    for key, value in changes.items():
        try:
            given = parsed(value) if key == "data.columns" else None
        except ValueError:
            given = None
        if isinstance(given, Mapping):
            yield from ((f"{key}.{name}", column) for name, column in given.items())
        else:
            yield old.get(key, key), value


def _within(changes: Mapping[str, Any]) -> list[str]:
    """Return the keys of the section ``data`` among dotted ones."""
    return [key.removeprefix("data.") for key in changes if key.startswith("data.")]


def olds(keys: Iterable[str]) -> Iterable[str]:
    """Return the keys that named a modality's column in earlier versions."""
    names = {f"{name}{OLD}" for name in modalities.registered()}
    return (key for key in keys if key in names)
