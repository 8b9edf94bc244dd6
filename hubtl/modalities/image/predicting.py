"""Images to predict, whatever a user gives: files, folders, arrays, datasets, or what PIL opened."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from datasets import Image as Feature
from PIL import Image
from torch import Tensor

from hubtl.backbones.base import Backbone, ImageInput, PixelRanges
from hubtl.backbones.views import evaluation_view, to_bytes
from hubtl.data.cells import file_name
from hubtl.data.folders import files_of
from hubtl.errors import HubtlError
from hubtl.modalities.image.columns import column
from hubtl.modalities.image.decoding import decode
from hubtl.modalities.image.ranges import kind_of, ranges_in
from hubtl.modalities.image.rows import UNREADABLE
from hubtl.modalities.image.transforms import to_channels


class Images:
    """Prepare images for a model of images alone. Its own configuration says how."""

    whole = True  # those of more than eight bits have one black and one white

    def __init__(self, backbone: Backbone) -> None:
        self.spec, self.ranges = backbone.info.input, backbone.ranges
        self._inputs: Any = ()

    def each(self, inputs: Any) -> Iterable[tuple[str, Any]]:
        """Name and image, or what ``decode`` reads, of every input."""
        self._inputs = inputs
        return each_image(inputs)

    def read(self, value: Any) -> Mapping[str, Tensor]:
        """Make a batch of one image. Raises UnreadableImage and OSError."""
        image = decode(value)
        self.ranges = known_ranges(image, self.ranges, self._inputs)
        return self.batch([image])

    def batch(self, values: Sequence[Any]) -> dict[str, Tensor]:
        """Make a batch of PIL images."""
        return {"image": self.normalised(self.views(values))}

    def value(self, cells: Mapping[str, Any]) -> Any:
        """Open the image of a row. Raises HubtlError for one that cannot be read."""
        try:
            return decode(cells["image"])
        except UNREADABLE as error:
            raise HubtlError(f"The image cannot be read: {file_name(cells['image'])}: {error}") from error

    def seen(self, row: Any) -> tuple[Tensor, np.ndarray]:
        """Return one image as the model takes it, and its bytes.

        They are [1, c, h, w] and [c, h, w]. Raises HubtlError.
        """
        cell = row["image"] if isinstance(row, Mapping) and "image" in row else row
        name, value = ("image", cell) if isinstance(cell, Mapping) else next(iter(each_image(cell)))
        try:
            view = self.views([decode(value)])
        except UNREADABLE as error:
            raise HubtlError(f"cannot read {name}: {error}", hint="another image") from error
        return self.normalised(view), view[0]

    def views(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Return PIL images as the model sees them: uint8 [b, c, h, w]."""
        grey = [to_channels(image, self.spec.channels, self.ranges) for image in images]
        return np.stack([to_bytes(evaluation_view(image, self.spec)) for image in grey])

    def normalised(self, views: np.ndarray) -> Tensor:
        """Return bytes as the floats that the model takes."""
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (self.spec.mean, self.spec.std))
        return (torch.from_numpy(views).float() / 255 - mean) / std


def noise(spec: Any) -> dict[str, Tensor] | None:
    """Return two images of noise in the shape that a model declares; None where it says something else."""
    if not isinstance(spec, ImageInput):
        return None
    generator = torch.Generator().manual_seed(0)
    return {"image": torch.randn(2, spec.channels, spec.size, spec.size, generator=generator)}


def pictures(spec: Any, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Make four pictures of noise, encoded as a dataset holds them."""
    side = getattr(spec, "size", 16)
    found: list[dict[str, Any]] = []
    for pixels in rng.integers(0, 256, (4, side, side, 3), dtype=np.uint8):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        found.append({"bytes": buffer.getvalue(), "path": None})
    return found


def is_cell(value: Any) -> bool:
    """Return whether a value is one image: a file, what PIL opened, an array of one, or an encoded cell."""
    if isinstance(value, Mapping):
        return bool({"bytes", "path"} & set(value))
    return isinstance(value, str | Path | bytes | Image.Image) or (isinstance(value, np.ndarray) and value.ndim < 4)


def each_image(inputs: Any) -> Iterable[tuple[str, Any]]:
    """Yield names and images (or what ``decode`` reads) of whatever ``predict`` takes."""
    if isinstance(inputs, Image.Image):
        yield "image", inputs
    elif isinstance(inputs, np.ndarray):
        if inputs.ndim == 4:
            yield from ((f"array {i}", _from_array(array)) for i, array in enumerate(inputs))
        else:
            yield "array", _from_array(inputs)
    elif isinstance(inputs, Dataset):
        name = column(inputs, None, "the dataset")
        encoded = inputs.select_columns([name]).cast_column(name, Feature(decode=False))
        for i, row in enumerate(encoded):
            yield f"row {i}", row[name]
    elif isinstance(inputs, str | Path):
        path = Path(inputs).expanduser()
        if path.is_dir():
            yield from ((name, name) for name in files_of(path, "image"))
        elif path.is_file():
            yield str(path), str(path)
        else:
            raise HubtlError(f"there is no file or folder {path}", hint="mind the path")
    elif isinstance(inputs, Mapping) and set(inputs) == {"image"}:
        yield from each_image(inputs["image"])
    elif isinstance(inputs, bytes) or (isinstance(inputs, Mapping) and is_cell(inputs)):
        yield "image", inputs
    elif isinstance(inputs, Mapping) or not isinstance(inputs, Iterable):
        raise HubtlError(
            f"a {type(inputs).__name__} is no image: {str(inputs)[:80]}",
            hint="a file, a folder, what PIL opened, an array",
        )
    else:
        for position, item in enumerate(inputs):
            for name, image in each_image(item):
                yield (f"{name} {position}" if name in ("image", "array") else name), image


def known_ranges(image: Image.Image, ranges: PixelRanges, inputs: Any) -> PixelRanges:
    """Return black and white of an image: those of training, else those of all these inputs."""
    kind = kind_of(image)
    if kind is None or ranges.of(kind) is not None:
        return ranges
    passing = isinstance(inputs, Iterator)  # it can be gone through once
    return ranges_in([image] if passing else (v for _, v in each_image(inputs)), ranges, "these inputs")


def _from_array(array: np.ndarray) -> Image.Image:
    plain = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    if plain.dtype != np.uint8 or not (plain.ndim == 2 or (plain.ndim == 3 and plain.shape[-1] in (3, 4))):
        raise HubtlError(
            f"an array of {array.dtype} {list(array.shape)} is no image",
            hint="uint8 arrays of [h, w], [h, w, 1], [h, w, 3] or [h, w, 4]",
        )
    return Image.fromarray(plain)
