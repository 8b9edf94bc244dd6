"""Make the evaluation view of an image: PIL image in, array of bytes out."""

import numpy as np
from PIL import Image

from hubtl.backbones.base import ImageInput

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}


def to_bytes(image: Image.Image) -> np.ndarray:
    """Return a PIL image as uint8 [c, h, w]."""
    array = np.array(image, dtype=np.uint8)  # a copy: torch wants to be able to write to it
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def evaluation_view(image: Image.Image, spec: ImageInput) -> Image.Image:
    """Resize and centre crop by the model's own configuration: the shorter side to ``size / crop_pct``.

    With ``crop_mode="squash"`` both sides are resized, whatever the aspect ratio. The pixels equal those of timm's
    transform, and with ``"floor"`` and ``"squash"`` those of transformers' processors.

    Args:
        image: the image.
        spec: the model's input.
    """
    scaled = int(spec.size / spec.crop_pct)
    method = RESAMPLING[spec.interpolation]
    width, height = image.size
    if spec.crop_mode == "squash":
        target = (scaled, scaled)
    elif width <= height:
        target = (scaled, int(scaled * height / width))
    else:
        target = (int(scaled * width / height), scaled)
    if target != image.size:
        image = image.resize(target, method)
    return centre_crop(image, spec.size, floor=spec.crop_mode == "floor")


def centre_crop(image: Image.Image, size: int, *, floor: bool = False) -> Image.Image:
    """Crop the centre; a smaller image is padded with black, as in torchvision.

    An odd margin is halved as torchvision rounds it, or downwards, as transformers does.

    Args:
        image: the image.
        size: the side of the crop.
        floor: round downwards.
    """
    width, height = image.size
    if width < size or height < size:
        left, top = max(0, (size - width) // 2), max(0, (size - height) // 2)
        padded = Image.new(image.mode, (max(width, size), max(height, size)))
        padded.paste(image, (left, top))
        image, (width, height) = padded, padded.size
    left, top = (width - size) // 2, (height - size) // 2
    if not floor:
        left, top = round((width - size) / 2.0), round((height - size) / 2.0)
    return image.crop((left, top, left + size, top + size))
