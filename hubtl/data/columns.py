"""Which column holds the images, texts and recordings, and which the classes: by feature type, or as the user says."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datasets import Audio, ClassLabel, Dataset, Image, Value

from hubtl.data.suffixes import IMAGES, SOUNDS
from hubtl.errors import HubtlError, nearest, unknown

LABEL_NAMES = ("label", "labels", "class", "category", "target", "fine_label", "class_name")
IMAGE_NAMES = ("image", "img", "images", "file_name", "filename", "path", "image_path", "file")
AUDIO_NAMES = ("audio", "sound", "recording", "wav", "speech")
TEXT_NAMES = ("text", "sentence", "review", "content", "caption", "title", "description")


def image_column(dataset: Dataset, asked: str | None, where: str) -> str:
    """The column with images. Raises HubtlError where there is none, or more than one."""
    if asked is not None:
        return _existing(dataset, asked, "image", where)
    found = [name for name, feature in dataset.features.items() if isinstance(feature, Image)]
    if not found:
        found = [name for name, feature in dataset.features.items() if _holds_images(dataset, name, feature)]
    if len(found) == 1:
        return found[0]
    if found:
        by_name = [name for name in IMAGE_NAMES if name in found]
        if by_name:
            return by_name[0]
        raise HubtlError(f"{where} has several image columns: {', '.join(found)}", hint=f"--image-column {found[0]}")
    raise HubtlError(
        f"{where} has no image column; its columns: {_described(dataset)}", hint="--image-column NAME, or other data"
    )


def audio_column(dataset: Dataset, asked: str | None, where: str) -> str:
    """The column with recordings. Raises HubtlError where there is none, or more than one."""
    if asked is not None:
        return _existing(dataset, asked, "audio", where)
    found = [name for name, feature in dataset.features.items() if isinstance(feature, Audio)]
    if not found:
        named = [name for name in dataset.features if name.lower() in AUDIO_NAMES]
        found = [name for name in named if _holds_sounds(dataset, name)]
    return _only(found, AUDIO_NAMES, "audio", dataset, where)


def text_column(dataset: Dataset, asked: str | None, where: str) -> str:
    """The column with texts: the one of a usual name, else the only one with more than a few words to a cell.

    Raises HubtlError where there is none, or more than one.
    """
    if asked is not None:
        return _existing(dataset, asked, "text", where)
    strings = [name for name, feature in dataset.features.items() if _is_string(feature)]
    found = [name for name in TEXT_NAMES if name in strings]
    if found:
        return found[0]
    found = [
        name for name in strings if name not in (*LABEL_NAMES, "id", "file_name", "path") and _prose(dataset, name)
    ]
    return _only(found, TEXT_NAMES, "text", dataset, where)


FINDERS: dict[str, Callable[[Dataset, str | None, str], str]] = {
    "image": image_column,
    "text": text_column,
    "audio": audio_column,
}


def label_column(dataset: Dataset, asked: str | None, where: str) -> str | None:
    """The column with classes; None where there is none."""
    if asked is not None:
        return _existing(dataset, asked, "label", where)
    found = [name for name, feature in dataset.features.items() if isinstance(feature, ClassLabel)]
    if len(found) > 1:
        by_name = [name for name in LABEL_NAMES if name in found]
        if by_name:
            return by_name[0]
        raise HubtlError(f"{where} has several label columns: {', '.join(found)}", hint=f"--label-column {found[0]}")
    if found:
        return found[0]
    for name in LABEL_NAMES:
        feature = dataset.features.get(name)
        if isinstance(feature, Value) and feature.dtype.startswith(("int", "uint", "string", "large_string", "bool")):
            return name
    return None


def class_names(parts: Sequence[Dataset], column: str) -> list[str]:
    """The names of the classes: those of the feature, else the values that occur, sorted (numbers by size).

    Of a column without a ``ClassLabel`` feature the values themselves are read, to know which classes there are;
    which row
    has which is not kept.
    """
    feature = parts[0].features[column]
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    values = {value for part in parts for value in part.unique(column) if value is not None}
    numbers = all(isinstance(value, int) for value in values)
    return [str(value) for value in sorted(values, key=int if numbers else str)]


def _existing(dataset: Dataset, name: str, what: str, where: str) -> str:
    if name not in dataset.features:
        error = unknown(f"{what} column of {where}", name, dataset.column_names)
        guess = nearest(name, dataset.column_names)
        error.hint = f"--{what}-column {guess}" if guess else error.hint
        raise error
    return name


def _holds_images(dataset: Dataset, name: str, feature: Any) -> bool:
    """Cells with encoded images (a ``bytes`` field), or with names of image files."""
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


def _only(found: Sequence[str], usual: Sequence[str], what: str, dataset: Dataset, where: str) -> str:
    if len(found) > 1:
        found = [name for name in usual if name in found][:1] or found
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
    """Cells with encoded recordings, or with names of sound files."""
    feature = dataset.features[name]
    if isinstance(feature, dict):
        return "bytes" in feature
    if isinstance(feature, Value) and feature.dtype in ("binary", "large_binary"):
        return True
    return _is_string(feature) and any(Path(cell).suffix.lower() in SOUNDS for cell in _first(dataset, name))


def _prose(dataset: Dataset, name: str) -> bool:
    """More than three words to a cell, by the median of the first ones."""
    words = sorted(len(cell.split()) for cell in _first(dataset, name))
    return bool(words) and words[len(words) // 2] > 3


def _first(dataset: Dataset, name: str) -> list[str]:
    """The first cells of a column with something in them; no other column is decoded."""
    cells = dataset.select_columns([name]).select(range(min(20, len(dataset))))[name]
    return [cell for cell in cells if isinstance(cell, str) and cell.strip()]


def _described(dataset: Dataset) -> str:
    return ", ".join(f"{name} ({type(feature).__name__})" for name, feature in dataset.features.items())
