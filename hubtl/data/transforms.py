"""Views: a PIL image to the array of bytes that a model expects, for evaluation and for training."""

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
CROP_AREA = (0.08, 1.0)  # of the image, as ImageNet's training views
CROP_ASPECT = (3 / 4, 4 / 3)


def to_channels(image: Image.Image, channels: int) -> Image.Image:
    """Grey or colour, as the model wants it. 16-bit images are scaled to 8 bits; transparent ones lie on white."""
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        values = np.asarray(image, dtype=np.float64)
        image = Image.fromarray((values / 257).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or (image.mode == "P" and "transparency" in image.info):
        coloured = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)
    return image.convert("L" if channels == 1 else "RGB")


def to_bytes(image: Image.Image) -> np.ndarray:
    """A PIL image as uint8 [c, h, w]."""
    array = np.array(image, dtype=np.uint8)  # a copy: torch wants to be able to write to it
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def evaluation_view(image: Image.Image, spec: ImageInput) -> Image.Image:
    """Resize and centre crop as the model's own configuration says: the shorter side to ``size / crop_pct``.

    With ``crop_mode="squash"`` both sides are resized, whatever the aspect ratio. The same pixels as timm's transform.
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
    return centre_crop(image, spec.size)


def centre_crop(image: Image.Image, size: int) -> Image.Image:
    """The middle; an image that is smaller is padded with black, as torchvision does."""
    width, height = image.size
    if width < size or height < size:
        left, top = max(0, (size - width) // 2), max(0, (size - height) // 2)
        padded = Image.new(image.mode, (max(width, size), max(height, size)))
        padded.paste(image, (left, top))
        image, (width, height) = padded, padded.size
    left, top = round((width - size) / 2.0), round((height - size) / 2.0)
    return image.crop((left, top, left + size, top + size))


def training_view(image: Image.Image, spec: ImageInput, rng: np.random.Generator) -> Image.Image:
    """A random crop of 8 to 100 % of the area, resized, and flipped every second time."""
    width, height = image.size
    box = (0.0, 0.0, float(width), float(height))
    for _ in range(10):
        area = width * height * rng.uniform(*CROP_AREA)
        aspect = np.exp(rng.uniform(*np.log(CROP_ASPECT)))
        w, h = np.sqrt(area * aspect), np.sqrt(area / aspect)
        if w <= width and h <= height:
            left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
            box = (left, top, left + w, top + h)
            break
    view = image.resize((spec.size, spec.size), RESAMPLING[spec.interpolation], box=box)
    return view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else view
