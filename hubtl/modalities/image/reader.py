"""Read pictures as the model's bytes. They come from a file, bytes, a PIL image or an array."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hubtl.backbones.base import ImageInput, PixelRanges
from hubtl.backbones.views import evaluation_view, to_bytes
from hubtl.modalities.image.decoding import decode
from hubtl.modalities.image.described import described
from hubtl.modalities.image.rows import UNREADABLE
from hubtl.modalities.image.transforms import strong_view, to_channels, weak_view
from hubtl.modalities.reader import Arrays, Reader, known_severity, known_view

NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation on a scale of 0 to 1, as ImageNet-C
ERASED = (0.02, 0.15)  # of the area, in a strong view


class ImageReader(Reader):
    """Read ``image``: uint8 [c, h, w] by the model's own preprocessing; then float32, normalised."""

    modality = "image"

    def __init__(self, spec: ImageInput, ranges: PixelRanges = PixelRanges()) -> None:
        self.spec, self.ranges = spec, ranges

    def ranged(self, ranges: PixelRanges) -> "ImageReader":
        """Return the reader with black and white of wide images. They have more than eight bits."""
        return ImageReader(self.spec, ranges)

    def read(self, cell: Any) -> Arrays:
        try:
            image = to_channels(_opened(cell), self.spec.channels, self.ranges)
            return {"image": to_bytes(evaluation_view(image, self.spec))}
        except FileNotFoundError:
            raise
        except (*UNREADABLE, ValueError) as error:
            raise ValueError(f"not an image: {error}") from error

    def empty(self) -> Arrays:
        return {"image": np.zeros((self.spec.channels, self.spec.size, self.spec.size), np.uint8)}

    def preparation(self) -> dict[str, Any]:
        return described(self.spec, self.ranges)

    def view(self, arrays: Mapping[str, np.ndarray], name: str, rng: np.random.Generator) -> Arrays:
        """Return the core's weak and strong views. They crop and flip from 64 pixels on, else are small affine ones.

        Strong views add RandAugment; every second one has a rectangle of the picture's mean colour.
        """
        strong = known_view(name)
        image = _picture(arrays["image"])
        seen = to_bytes((strong_view if strong else weak_view)(image, self.spec, rng))
        if strong and rng.random() < 0.5:
            self._erase(seen, rng)
        return {"image": seen}

    def _erase(self, pixels: np.ndarray, rng: np.random.Generator) -> None:
        size, area, aspect = self.spec.size, rng.uniform(*ERASED), np.exp(rng.uniform(-1.0, 1.0))
        high = min(size, max(1, round(size * float(np.sqrt(area * aspect)))))
        wide = min(size, max(1, round(size * float(np.sqrt(area / aspect)))))
        top, left = int(rng.integers(size - high + 1)), int(rng.integers(size - wide + 1))
        pixels[:, top : top + high, left : left + wide] = pixels.mean(axis=(1, 2), keepdims=True).astype(np.uint8)

    def corrupt(self, arrays: Mapping[str, np.ndarray], severity: int, rng: np.random.Generator) -> Arrays:
        pixels = arrays["image"]
        noise = 255 * NOISE[known_severity(severity)] * rng.standard_normal(pixels.shape)
        return {"image": (pixels + noise).round().clip(0, 255).astype(np.uint8)}

    def tensors(self, stacked: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        mean, std = torch.tensor(self.spec.mean).view(1, -1, 1, 1), torch.tensor(self.spec.std).view(1, -1, 1, 1)
        pixels = torch.from_numpy(np.asarray(stacked["image"])).float()
        return {"image": (pixels / 255 - mean) / std}


def _opened(cell: Any) -> Image.Image:
    if isinstance(cell, Image.Image):
        return decode(cell)
    if isinstance(cell, bytes | bytearray | memoryview):
        return decode({"bytes": bytes(cell), "path": None})
    if isinstance(cell, np.ndarray):
        return _from_array(cell)
    if not isinstance(cell, str | os.PathLike | dict):
        raise ValueError(f"a {type(cell).__name__} is no picture")
    return decode(cell)


def _from_array(array: np.ndarray) -> Image.Image:
    """Convert an array of uint8 to an image. It is [h, w], [h, w, c] or [c, h, w] with 1, 3 or 4 channels."""
    if array.dtype != np.uint8:
        raise ValueError(f"an array of {array.dtype}; a picture is uint8")
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)):
        raise ValueError(f"an array of shape {array.shape}; a picture is [h, w] or [h, w, 3]")
    return Image.fromarray(np.ascontiguousarray(array))


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
