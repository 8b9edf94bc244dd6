"""Make training views, and convert the colours of an image.

The evaluation view is the backbone's (backbones/views.py).
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from hubtl.backbones.base import ImageInput, PixelRanges
from hubtl.backbones.views import RESAMPLING
from hubtl.modalities.image.ranges import eight_bits, kind_of
from hubtl.recipe.augmentation import OPERATIONS, RandAugment, randaugment
from hubtl.recipe.schema import CROP_AREA, CROP_RATIO, STRONG_VIEWS, DataSection

USUAL_CHANGES = RandAugment()
WEAKEST = 0.5  # of the area is in a weak view at least
# modes that Pillow turns to grey, or to colours with transparency, by way of another
DETOURS = {"RGBa": "RGBA", "La": "LA", "LAB": "RGB", "HSV": "RGB", "YCbCr": "RGB", "CMYK": "RGB", "RGBX": "RGB"}


def to_channels(image: Image.Image, channels: int, ranges: PixelRanges = PixelRanges()) -> Image.Image:
    """Convert an image to grey or colour; transparent images get a white background.

    Floats and integers of more than eight bits are scaled by ``ranges``, or by the image's own values for an unknown
    kind.

    Args:
        image: the image.
        channels: 1 or 3.
        ranges: black and white by kind.

    Raises:
        UnreadableImage: for values that are not finite.
    """
    if kind_of(image) is not None:
        image = eight_bits(image, ranges)
    elif image.mode in DETOURS:
        image = image.convert(DETOURS[image.mode])
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        coloured = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)
    return image.convert("L" if channels == 1 else "RGB")


@dataclass(frozen=True)
class RandomViews:
    """Hold the parameters of random views: crops, flips, and the operations of strong views.

    ``area`` is a share of the image's, ``ratio`` width over height, both as ranges like torchvision's and timm's
    ``scale`` and ``ratio``. ``interpolation`` None is that of the model.
    """

    area: tuple[float, float] = CROP_AREA
    ratio: tuple[float, float] = CROP_RATIO
    interpolation: str | None = None
    flip: float = 0.5
    strong: RandAugment = USUAL_CHANGES
    operations: tuple[str, ...] = OPERATIONS

    @classmethod
    def of(cls, data: DataSection) -> "RandomViews":
        """Read a recipe; open keys take ImageNet's usual view."""
        (least, most), (low, high) = data.crop_area or CROP_AREA, data.crop_ratio or CROP_RATIO
        return cls(
            area=(least, most),
            ratio=(low, high),
            interpolation=data.interpolation,
            flip=0.5 if data.flip is None else data.flip,
            strong=randaugment(data.views or STRONG_VIEWS),
            operations=tuple(data.view_operations or OPERATIONS),
        )

    @property
    def weak_area(self) -> tuple[float, float]:
        """Return the crop range of a weak view: at least half of the image, unless crops are larger."""
        least, most = self.area
        return max(least, min(WEAKEST, most)), most


USUAL = RandomViews()


def training_view(
    image: Image.Image,
    spec: ImageInput,
    rng: np.random.Generator,
    how: RandomViews = USUAL,
    *,
    area: tuple[float, float] | None = None,
) -> Image.Image:
    """Return a random crop, resized, and flipped at random.

    Args:
        image: the image.
        spec: the model's input.
        rng: the random generator.
        how: the parameters.
        area: the range of the share of the area, if ``how`` has none.
    """
    width, height = image.size
    box = (0.0, 0.0, float(width), float(height))
    for _ in range(10):
        part = width * height * rng.uniform(*(area or how.area))
        aspect = np.exp(rng.uniform(*np.log(how.ratio)))
        w, h = np.sqrt(part * aspect), np.sqrt(part / aspect)
        if w <= width and h <= height:
            left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
            box = (left, top, left + w, top + h)
            break
    view = image.resize((spec.size, spec.size), RESAMPLING[how.interpolation or spec.interpolation], box=box)
    return view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < how.flip else view


SMALL = 64  # pixels; below, a flip makes another sign of it and a crop takes a stroke away
SMALL_SHIFT = 2.0  # pixels, at most
SMALL_AFFINE = 0.1  # standard deviation of each entry of the 2 × 2 matrix


def weak_view(image: Image.Image, spec: ImageInput, rng: np.random.Generator, how: RandomViews = USUAL) -> Image.Image:
    """Return a mild augmentation: a crop of half to all of the area, and a flip.

    A small image starts from its evaluation view. It is shifted by at most 2 pixels, and scaled, rotated and sheared by
    a matrix whose entries are those of the identity plus normal noise of 0.1: the augmentation of digits and signs of
    self-ensembling (arXiv:1706.05208). Pixels from outside have the colour of the corners.

    Args:
        image: the image.
        spec: the model's input.
        rng: the random generator.
        how: the parameters.
    """
    if spec.size >= SMALL:
        return training_view(image, spec, rng, how, area=how.weak_area)
    shift = rng.uniform(-SMALL_SHIFT, SMALL_SHIFT, size=2)
    (a, b), (c, d) = np.eye(2) + SMALL_AFFINE * rng.standard_normal((2, 2))
    middle = spec.size / 2
    matrix = (a, b, middle * (1 - a - b) + shift[0], c, d, middle * (1 - c - d) + shift[1])
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=_corners(image)
    )


def _corners(image: Image.Image) -> int | tuple[int, ...]:
    """Return the middle value of the four corners, in each channel."""
    last = image.size[0] - 1, image.size[1] - 1
    found = [image.getpixel((x, y)) for x in (0, last[0]) for y in (0, last[1])]
    if isinstance(found[0], tuple):
        return tuple(sorted(channel)[1] for channel in zip(*found, strict=True))
    return int(sorted(found)[1])


def strong_view(
    image: Image.Image, spec: ImageInput, rng: np.random.Generator, how: RandomViews = USUAL
) -> Image.Image:
    """Return a weak view with two random operations (RandAugment). Each has probability one half.

    Number, magnitude and kinds of operations are those of ``how``; small images are shifted less. The operations and
    the default magnitude are those of timm's ``rand-m10-n2-mstd2-inc1``.

    Args:
        image: the image.
        spec: the model's input.
        rng: the random generator.
        how: the parameters.
    """
    view = weak_view(image, spec, rng, how)
    for _ in range(how.strong.changes):
        operation = how.operations[rng.integers(len(how.operations))]
        happens = rng.random() < how.strong.chance
        amount, sign = rng.normal(how.strong.strength, how.strong.spread), rng.choice((-1.0, 1.0))
        if happens:
            view = changed(view, operation, float(np.clip(amount, 0, 1)), float(sign))
    return view


def changed(image: Image.Image, operation: str, amount: float, sign: float) -> Image.Image:
    """Return an image after one operation; ``amount`` is 0 to 1, ``sign`` −1 or 1."""
    width, height = image.size
    signed = amount * sign
    move = signed * (0.45 if min(width, height) >= SMALL else 0.15)
    affine = {
        "shear-x": (1, 0.3 * signed, -0.15 * signed * height, 0, 1, 0),
        "shear-y": (1, 0, 0, 0.3 * signed, 1, -0.15 * signed * width),
        "move-x": (1, 0, move * width, 0, 1, 0),
        "move-y": (1, 0, 0, 0, 1, move * height),
    }
    match operation:
        case "rotate":
            return image.rotate(30 * signed, Image.Resampling.BILINEAR)
        case "autocontrast":
            return ImageOps.autocontrast(image)
        case "equalize":
            return ImageOps.equalize(image)
        case "invert":
            return ImageOps.invert(image)
        case "posterize":
            return ImageOps.posterize(image, max(1, 4 - int(4 * amount)))
        case "solarize":
            return ImageOps.solarize(image, 256 - int(256 * amount))
        case "lighten":  # timm's SolarizeAdd
            return image.point([min(255, v + int(110 * amount)) if v < 128 else v for v in range(256)] * _bands(image))
        case "colour" | "contrast" | "brightness" | "sharpness":
            return ENHANCERS[operation](image).enhance(max(0.1, 1 + 0.9 * signed))
        case _:
            return image.transform(image.size, Image.Transform.AFFINE, affine[operation], Image.Resampling.BILINEAR)


ENHANCERS = {
    "colour": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "brightness": ImageEnhance.Brightness,
    "sharpness": ImageEnhance.Sharpness,
}


def _bands(image: Image.Image) -> int:
    return len(image.getbands())
