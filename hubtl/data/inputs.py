"""Iterate over any input of ``predict``, one named input at a time."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image

from hubtl.data.columns import FINDERS, image_column
from hubtl.data.folders import files_of
from hubtl.errors import HubtlError, unknown


def each_image(inputs: Any) -> Iterable[tuple[str, Any]]:
    """Yield names and images (or what ``decode`` reads) of any input of ``predict``."""
    if isinstance(inputs, Image.Image):
        yield "image", inputs
    elif isinstance(inputs, np.ndarray):
        if inputs.ndim == 4:
            yield from ((f"array {i}", _from_array(array)) for i, array in enumerate(inputs))
        else:
            yield "array", _from_array(inputs)
    elif isinstance(inputs, Dataset):
        column = image_column(inputs, None, "the dataset")
        encoded = inputs.select_columns([column]).cast_column(column, ImageFeature(decode=False))
        for i, row in enumerate(encoded):
            yield f"row {i}", row[column]
    elif isinstance(inputs, str | Path):
        path = Path(inputs).expanduser()
        if path.is_dir():
            yield from ((name, name) for name in files_of(path, "image"))
        elif path.is_file():
            yield str(path), str(path)
        else:
            raise HubtlError(f"there is no file or folder {path}", hint="mind the path")
    else:
        for position, item in enumerate(inputs):
            for name, image in each_image(item):
                yield (f"{name} {position}" if name in ("image", "array") else name), image


def each_row(inputs: Any, modalities: Sequence[str]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield names and rows (modality -> cell) of any input of ``predict``, for further modalities.

    With one modality, a row may also be the content of its cell: a text, a file, an array with its rate, or bytes.

    Args:
        inputs: the inputs.
        modalities: the modalities of the model.
    """
    if len(modalities) == 1 and _is_cell(inputs, modalities[0]):
        named = modalities[0] != "text" and isinstance(inputs, str | Path)
        yield str(inputs) if named else "row", {modalities[0]: inputs}
    elif isinstance(inputs, Mapping):
        if strange := set(inputs) - set(modalities):
            raise unknown("modality of this model", min(strange), modalities)
        yield "row", inputs
    elif isinstance(inputs, Dataset):
        found = {m: column for m in modalities if (column := _column(inputs, m)) is not None}
        if not found:
            raise HubtlError(
                f"the dataset has no column for {' or '.join(modalities)}", hint="a column that is called so"
            )
        undecoded = inputs.select_columns(list(found.values()))
        for column in found.values():
            if type(undecoded.features[column]).__name__ in ("Image", "Audio"):
                undecoded = undecoded.cast_column(column, type(undecoded.features[column])(decode=False))
        for i, row in enumerate(undecoded):
            yield f"row {i}", {m: row[column] for m, column in found.items()}
    elif isinstance(inputs, Sequence) and not isinstance(inputs, str):
        for position, item in enumerate(inputs):
            for name, row in each_row(item, modalities):
                yield (f"{name} {position}" if name == "row" else name), row
    else:
        raise HubtlError(
            f"a model of {', '.join(modalities)} takes rows, not {type(inputs).__name__}",
            hint='{"image": "photo.jpg", "text": "What it says."}, or image=photo.jpg text=… on the command line',
        )


def _is_cell(value: Any, modality: str) -> bool:
    """Return whether a value is one cell of a modality, and no row, table or sequence of them."""
    if isinstance(value, str):
        return True
    if modality == "text":
        return False
    if isinstance(value, Mapping):
        return modality not in value and bool({"array", "bytes", "path"} & set(value))
    return isinstance(value, Path | bytes) or (isinstance(value, tuple) and len(value) == 2 and np.ndim(value[0]) > 0)


def _column(dataset: Dataset, modality: str) -> str | None:
    """Return the column of a modality; None if its rows lack it."""
    if modality in dataset.features:
        return modality
    try:
        return FINDERS[modality](dataset, None, "the dataset")
    except HubtlError:
        return None


def _from_array(array: np.ndarray) -> Image.Image:
    plain = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    if plain.dtype != np.uint8 or not (plain.ndim == 2 or (plain.ndim == 3 and plain.shape[-1] in (3, 4))):
        raise HubtlError(
            f"an array of {array.dtype} {list(array.shape)} is no image",
            hint="uint8 arrays of [h, w], [h, w, 1], [h, w, 3] or [h, w, 4]",
        )
    return Image.fromarray(plain)
