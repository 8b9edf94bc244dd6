"""Translate transformers' image processors to hubtl's inputs, verified on images."""

import copy
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hubtl.backbones.base import ImageInput
from hubtl.backbones.views import evaluation_view, to_bytes
from hubtl.io import jsontext

PIL_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
ROUNDING = 3 / 255  # torchvision resizes bytes like PIL, but for one or two values
LEVIT = 256 / 224  # the shorter side over the crop, in its code alone


@dataclass(frozen=True)
class Preparation:
    """Hold a processor, and its equivalent in hubtl."""

    processor: Any
    spec: ImageInput
    blue_first: bool = False  # the model wants blue, green, red: the pixels of ``spec`` in reverse
    note: str | None = None


def prepare(processor: Any, config: Any, size: int | None = None, *, blue_first: bool = True) -> Preparation:
    """Return the equivalent of a processor, for its image size or another.

    If no ``ImageInput`` gives its pixels, a plain processor replaces it, so that other libraries prepare inputs of the
    saved model as in training. ``blue_first=False`` does so for reversed colours too.
    """
    processor = processor_at(processor, size)
    spec = input_of(processor, config)
    if spec.channels not in (1, 3):
        return Preparation(processor, spec)
    for candidate, turned in _candidates(processor, spec):
        if (blue_first or not turned) and _same_pixels(processor, candidate, turned):
            return Preparation(processor, candidate, turned)
    spec = dataclasses.replace(spec, crop_pct=min(spec.crop_pct, 1.0))  # no borders: libraries differ about them
    name = type(processor).__name__.removesuffix("Pil")
    shape = f"{spec.size} × {spec.size} pixels"
    note = (
        f"images are not prepared by the base model's {name} but plainly, as {shape}; the saved processor does the same"
    )
    return Preparation(plain(spec), spec, note=note)


def input_of(processor: Any, config: Any) -> ImageInput:
    """Return the input that a processor declares: squash, or resize the shorter side and crop."""
    shape = getattr(processor, "size", None)
    crop = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    edge, height = _get(shape, "shortest_edge"), _get(shape, "height")
    side = int(_get(crop, "height") or height or edge or own_size(config) or 224)
    pct = getattr(processor, "crop_pct", None)
    if pct is None:
        pct = _crop_pct(side, int(edge or height or side)) if crop else 1.0
    channels = int(getattr(vision_of(config), "num_channels", 3))
    mean, std = getattr(processor, "image_mean", None), getattr(processor, "image_std", None)
    if not getattr(processor, "do_normalize", True) or not mean or not std:
        mean, std = [0.0] * channels, [1.0] * channels
    return ImageInput(
        size=side,
        channels=channels,
        mean=tuple(mean[:channels]),
        std=tuple(std[:channels]),
        interpolation=PIL_FILTERS.get(int(getattr(processor, "resample", None) or 0), "bilinear"),
        crop_pct=float(pct),
        crop_mode="floor" if edge else "squash",
    )


def processor_at(processor: Any, asked: int | None) -> Any:
    """Return the processor for another image size; it crops only to a square; None: unchanged."""
    if asked is None:
        return processor
    changed = copy.deepcopy(processor)
    if _get(getattr(changed, "size", None), "shortest_edge"):
        changed.size = {"shortest_edge": asked}
        if getattr(changed, "crop_pct", None) is not None:
            changed.crop_pct = 1.0
    else:
        changed.size = {"height": asked, "width": asked}
    if getattr(changed, "do_center_crop", False):
        changed.crop_size = {"height": asked, "width": asked}
    return changed


def plain(spec: ImageInput) -> Any:
    """Return a processor that does what ``spec`` describes."""
    from transformers import CLIPImageProcessorPil

    scaled = int(spec.size / spec.crop_pct)
    squash = spec.crop_mode == "squash"
    return CLIPImageProcessorPil(
        size={"height": scaled, "width": scaled} if squash else {"shortest_edge": scaled},
        crop_size={"height": spec.size, "width": spec.size},
        resample=next(number for number, name in PIL_FILTERS.items() if name == spec.interpolation),
        image_mean=list(spec.mean),
        image_std=list(spec.std),
        do_convert_rgb=spec.channels == 3,
    )


def write(processor: Any, folder: Path) -> None:
    """Save a processor also under the file name of older transformers. Its versions differ in the name."""
    processor.save_pretrained(folder)
    path = folder / "preprocessor_config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    written["image_processor_type"] = str(written["image_processor_type"]).removesuffix("Pil")
    jsontext.save(path, written, sort_keys=True)


def vision_of(config: Any) -> Any:
    """Return the part of a configuration about images."""
    return getattr(config, "vision_config", None) or config


def own_size(config: Any) -> int | None:
    """Return the image size of a configuration, or None."""
    size = getattr(vision_of(config), "image_size", None)
    return int(size[0]) if isinstance(size, list | tuple) else size


def _candidates(processor: Any, spec: ImageInput) -> Iterator[tuple[ImageInput, bool]]:
    """Yield the declared input, then undeclared variants, and whether blue comes first."""
    shapes = [spec]
    if spec.crop_mode == "floor":
        shapes.append(dataclasses.replace(spec, crop_mode="squash", crop_pct=1.0))  # ConvNeXt's from 384 pixels on
        shapes.append(dataclasses.replace(spec, crop_pct=_crop_pct(spec.size, int(LEVIT * spec.size))))
    yield from ((shape, False) for shape in shapes)
    if (measured := _colours(processor, spec)) is not None:
        mean, std, turned = measured
        yield from ((dataclasses.replace(shape, mean=mean, std=std), turned) for shape in shapes)


def _colours(processor: Any, spec: ImageInput) -> tuple[tuple[float, ...], tuple[float, ...], bool] | None:
    """Return mean and standard deviation that reproduce plain colours. The last value says whether blue comes first."""
    side, channels = (spec.size, spec.size), spec.channels
    hues: list[Any] = [255] if channels == 1 else [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    mode = "L" if channels == 1 else "RGB"
    seen = [_seen(processor, Image.new(mode, side, hue)) for hue in (0, *hues)]
    middles = [x[:, x.shape[1] // 2, x.shape[2] // 2].double() for x in seen if x is not None and x.ndim == 3]
    if len(middles) != len(hues) + 1 or any(len(x) != channels for x in middles):
        return None
    gains = torch.stack([x - middles[0] for x in middles[1:]])  # [hue, channel]
    turned = channels == 3 and bool(gains[0].abs().max(dim=0).indices == 2)
    gain, black = (gains.fliplr() if turned else gains).diagonal(), middles[0].flip(0) if turned else middles[0]
    if not bool(gain.abs().min() > 0):
        return None
    mean, std = (-black / gain).tolist(), (1 / gain).tolist()
    return tuple(round(v, 6) + 0.0 for v in mean), tuple(float(f"{v:.6g}") for v in std), turned


def _same_pixels(processor: Any, spec: ImageInput, blue_first: bool) -> bool:
    """Return whether processor and hubtl give equal pixels for noisy images. One image is wide and one is high."""
    rng = np.random.default_rng(0)
    mean, std = torch.tensor(spec.mean).view(-1, 1, 1), torch.tensor(spec.std).view(-1, 1, 1)
    for width, height in ((spec.size + 46, spec.size + 13), (spec.size + 8, 2 * spec.size + 1)):
        noise = rng.integers(0, 256, (height, width, spec.channels), dtype=np.uint8)
        image = Image.fromarray(noise.squeeze())
        ours = (torch.from_numpy(to_bytes(evaluation_view(image, spec))).float() / 255 - mean) / std
        theirs = _seen(processor, image)
        if theirs is None or theirs.shape != ours.shape:
            return False
        if bool((((theirs.flip(0) if blue_first else theirs) - ours) * std).abs().max() > ROUNDING):
            return False
    return True


def _seen(processor: Any, image: Image.Image) -> Tensor | None:
    """Return the pixels of a processor; None where it takes no such image, or returns something else."""
    try:
        pixels = processor(image, return_tensors="pt")["pixel_values"][0]
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError):
        return None
    return pixels.float() if isinstance(pixels, Tensor) else None


def _crop_pct(side: int, scaled: int) -> float:
    """Return the share for which ``int(side / share)`` is ``scaled``."""
    share = side / scaled
    return share if int(side / share) == scaled else side / (scaled + 1e-6)


def _get(size: Any, key: str) -> Any:
    if size is None:
        return None
    return size.get(key) if isinstance(size, dict) else getattr(size, key, None)
