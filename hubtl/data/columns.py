"""Find the columns with images, texts and recordings, by feature type or as the user says."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from datasets import Audio, Dataset, Image, Value

from hubtl.data.names import composed
from hubtl.data.suffixes import IMAGES, SOUNDS
from hubtl.data.values import LABEL_NAMES
from hubtl.errors import HubtlError, nearest, unknown

IMAGE_NAMES = ("image", "img", "images", "file_name", "filename", "path", "image_path", "file")
AUDIO_NAMES = ("audio", "sound", "recording", "wav", "speech")
TEXT_NAMES = ("text", "sentence", "review", "content", "caption", "title", "description")


def image_column(dataset: Dataset, asked: str | None, where: str) -> str:
    """Return the column with images.

    Args:
        dataset: the data set.
        asked: the column that the user names, or None.
        where: the data set's name, for errors.

    Raises:
        HubtlError: where there is none, or more than one.
    """
    if asked is not None:
        return existing(dataset, asked, "image", where)
    found = [name for name, feature in dataset.features.items() if isinstance(feature, Image)]
    if not found:
        found = [name for name, feature in dataset.features.items() if _holds_images(dataset, name, feature)]
    if len(found) == 1:
        return found[0]
    if found:
        by_name = usual(found, IMAGE_NAMES)
        if by_name:
            return by_name[0]
        raise HubtlError(f"{where} has several image columns: {', '.join(found)}", hint=f"--image-column {found[0]}")
    raise HubtlError(
        f"{where} has no image column; its columns: {_described(dataset)}", hint="--image-column NAME, or other data"
    )


def audio_column(dataset: Dataset, asked: str | None, where: str) -> str:
    """Return the column with recordings.

    Args:
        dataset: the data set.
        asked: the column that the user names, or None.
        where: the data set's name, for errors.

    Raises:
        HubtlError: where there is none, or more than one.
    """
    if asked is not None:
        return existing(dataset, asked, "audio", where)
    found = [name for name, feature in dataset.features.items() if isinstance(feature, Audio)]
    if not found:
        named = usual(dataset.features, AUDIO_NAMES)
        found = [name for name in named if _holds_sounds(dataset, name)]
    return _only(found, AUDIO_NAMES, "audio", dataset, where)


def text_column(dataset: Dataset, asked: str | None, where: str) -> str:
    """Return the column with texts: one with a usual name, else the only one with longer texts.

    Args:
        dataset: the data set.
        asked: the column that the user names, or None.
        where: the data set's name, for errors.

    Raises:
        HubtlError: where there is none, or more than one.
    """
    if asked is not None:
        return existing(dataset, asked, "text", where)
    strings = [name for name, feature in dataset.features.items() if _is_string(feature)]
    found = usual(strings, TEXT_NAMES)
    if found:
        return found[0]
    aside = usual(strings, (*LABEL_NAMES, "id", "file_name", "path"))
    found = [name for name in strings if name not in aside and _prose(dataset, name)]
    return _only(found, TEXT_NAMES, "text", dataset, where)


FINDERS: dict[str, Callable[[Dataset, str | None, str], str]] = {
    "image": image_column,
    "text": text_column,
    "audio": audio_column,
}


def header(dataset: Dataset, name: str) -> str | None:
    """Return a column by its name, ignoring case, Unicode form and outer spaces.

    None where there is none, or several.
    """
    if name in dataset.features:
        return name
    alike = [other for other in dataset.features if _bare(other) == _bare(name)]
    return alike[0] if len(alike) == 1 else None


def headers(dataset: Dataset, asked: str | Sequence[str]) -> list[str]:
    """Return columns by their names: one, a list, or several separated by commas.

    Empty where one is missing.
    """
    names = [asked] if isinstance(asked, str) else list(asked)
    if isinstance(asked, str) and header(dataset, asked) is None and "," in asked:
        names = [name.strip() for name in asked.split(",") if name.strip()]
    found = [header(dataset, name) for name in names]
    return [name for name in found if name is not None] if all(found) else []


def _bare(name: str) -> str:
    return composed(composed(name).strip().casefold())


def usual(names: Iterable[str], known: Sequence[str]) -> list[str]:
    """Return the names that are usual, ignoring case, in the order of ``known``."""
    rank = {name: place for place, name in enumerate(known)}
    return sorted((name for name in names if _bare(name) in rank), key=lambda n: (rank[_bare(n)], n != _bare(n)))


def existing(dataset: Dataset, name: str, what: str, where: str) -> str:
    """Return a column that was asked for.

    Raises:
        HubtlError: where there is none of that name.
    """
    found = header(dataset, name)
    if found is None:
        error = unknown(f"{what} column of {where}", name, dataset.column_names)
        guess = nearest(name, dataset.column_names)
        error.hint = f"--{what}-column {guess}" if guess else error.hint
        raise error
    return found


def _holds_images(dataset: Dataset, name: str, feature: Any) -> bool:
    """Return whether cells hold encoded images (a ``bytes`` field), or names of image files."""
    if isinstance(feature, dict):
        return "bytes" in feature
    if not isinstance(feature, Value) or not len(dataset):
        return False
    if feature.dtype in ("binary", "large_binary"):
        return True
    if feature.dtype not in ("string", "large_string"):
        return False
    first = dataset.select_columns([name])[0][name]
    return isinstance(first, str) and Path(first).suffix.lower() in IMAGES


def _only(found: Sequence[str], known: Sequence[str], what: str, dataset: Dataset, where: str) -> str:
    if len(found) > 1:
        found = usual(found, known)[:1] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise HubtlError(f"{where} has several {what} columns: {', '.join(found)}", hint=f"--{what}-column {found[0]}")
    raise HubtlError(
        f"{where} has no {what} column; its columns: {_described(dataset)}", hint=f"--{what}-column NAME, or other data"
    )


def _is_string(feature: Any) -> bool:
    return isinstance(feature, Value) and feature.dtype in ("string", "large_string")


def _holds_sounds(dataset: Dataset, name: str) -> bool:
    """Return whether cells hold encoded recordings, or names of sound files."""
    feature = dataset.features[name]
    if isinstance(feature, dict):
        return "bytes" in feature
    if isinstance(feature, Value) and feature.dtype in ("binary", "large_binary"):
        return True
    return _is_string(feature) and any(Path(cell).suffix.lower() in SOUNDS for cell in _first(dataset, name))


def _prose(dataset: Dataset, name: str) -> bool:
    """Return whether cells hold more than three words, by the median of the first ones."""
    words = sorted(len(cell.split()) for cell in _first(dataset, name))
    return bool(words) and words[len(words) // 2] > 3


def _first(dataset: Dataset, name: str) -> list[str]:
    """Return the first non-empty cells of a column, without decoding other columns."""
    cells = dataset.select_columns([name]).select(range(min(20, len(dataset))))[name]
    return [cell for cell in cells if isinstance(cell, str) and cell.strip()]


def _described(dataset: Dataset) -> str:
    return ", ".join(f"{name} ({type(feature).__name__})" for name, feature in dataset.features.items())
