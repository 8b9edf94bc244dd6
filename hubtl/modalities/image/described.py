"""Describe the preparation of an image in plain values."""

from typing import Any

from hubtl.backbones.base import ImageInput, PixelRanges


def described(spec: ImageInput, ranges: PixelRanges = PixelRanges()) -> dict[str, Any]:
    """Return the steps of ``evaluation_view`` in plain values.

    Args:
        spec: the model's input.
        ranges: black and white of images of more than eight bits.
    """
    scaled = int(spec.size / spec.crop_pct)
    squash = spec.crop_mode == "squash"
    resized = {"width": scaled, "height": scaled} if squash else {"shorter_side": scaled, "longer_side": "rounded down"}
    return {
        "mode": "L" if spec.channels == 1 else "RGB",
        "orientation": "as in EXIF",
        "transparency": "over white",
        "resize": {**resized, "interpolation": spec.interpolation, "by": "Pillow"},
        "centre_crop": {
            "width": spec.size,
            "height": spec.size,
            "odd_margin": "rounded down" if spec.crop_mode == "floor" else "rounded half to even",
            "border_of_smaller_images": 0,
        },
        "rescale": 1 / 255,
        "mean": _each(spec.mean, spec.channels),
        "std": _each(spec.std, spec.channels),
        "layout": ["batch", "channel", "row", "column"],
        **({"black_and_white": ranges.as_dict()} if ranges else {}),
    }


def _each(values: tuple[float, ...], channels: int) -> list[float]:
    return list(values) * (channels if len(values) == 1 else 1)
