"""Read images whose places are labelled: image, mask and random views move together."""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from hubtl.backbones.views import RESAMPLING, evaluation_view, to_bytes
from hubtl.batch import Batch
from hubtl.data.sites import IGNORE, sampled
from hubtl.modalities.image.rows import ImageSet
from hubtl.modalities.image.transforms import RandomViews, changed

AREA = (0.25, 1.0)  # of a random crop, where the recipe leaves it open: a small part of a scene holds little of it
MOVES = ("shear-x", "shear-y", "move-x", "move-y", "rotate")  # operations after which a mask no longer fits
WHOLE = (0.0, 0.0, 1.0, 1.0)
NONE = -100  # torch's code of a target that a cross-entropy leaves out

Box = tuple[float, float, float, float]


class DenseSet(ImageSet):
    """Hold images and masks of one split under one view.

    ``labels`` are masks, uint8 [n, h, w]. A batch's labels are int64 [b · side²]: the code at the centre of each cell of
    the model's grid, −100 where there is none. Crop and flip of a row are drawn once, for the image, its mask and all its
    views: places of the weak and of the strong view correspond. A weak view is the crop alone; a strong one changes
    colours besides.

    Args:
        side: cells of the model's grid in each direction.
    """

    def __init__(self, *args: Any, side: int, **how: Any) -> None:
        super().__init__(*args, **how)
        self.side = side

    def fetch(self, rows: Sequence[int], *, seed: int | None = None, views: Collection[str] | None = None) -> Batch:
        """Fetch rows as a batch; see ``ImageSet.fetch``.

        Args:
            rows: positions of the rows.
            seed: seed of the random views.
            views: the random views to make.
        """
        index = np.asarray(rows, dtype=np.int64)
        wanted = [] if seed is None else [name for name in self.views if views is None or name in views]
        if self.cached and not wanted:
            pixels, drawn = self._cache()[torch.from_numpy(index)], [(WHOLE, False)] * len(index)
            made: dict[str, list[np.ndarray]] = {}
        else:
            images, drawn, made = [], [], {name: [] for name in wanted}
            for place, row in enumerate(index.tolist()):
                image, box, flip = self._cropped(row, place, seed, moves=self.augment or bool(wanted))
                drawn.append((box, flip))
                images.append(to_bytes(image))
                for name in wanted:
                    rng = np.random.default_rng([seed or 0, place, row, zlib.crc32(name.encode())])
                    made[name].append(to_bytes(recoloured(image, rng, self.random) if name == "strong" else image))
            pixels = torch.from_numpy(np.stack(images))
        labels = None if self.labels is None else torch.from_numpy(self._sites(index, drawn))
        given = {name: {"image": self._normalised(torch.from_numpy(np.stack(v)))} for name, v in made.items()}
        domain = None if self.domains is None else torch.from_numpy(self.domains[index])
        return Batch({"image": self._normalised(pixels)}, labels, torch.from_numpy(index), views=given, domain=domain)

    def _cropped(self, row: int, place: int, seed: int | None, *, moves: bool) -> tuple[Image.Image, Box, bool]:
        """Return a row's view, its part of the image, and its flip."""
        if not moves:
            return evaluation_view(self._channels(row), self.spec), WHOLE, False
        image = self._decoded(row)
        rng = np.random.default_rng([0 if seed is None else seed, place, row])
        box, flip = drawn_box(image.size, rng, self.random), bool(rng.random() < self.random.flip)
        pixels = tuple(share * full for share, full in zip(box, image.size * 2, strict=True))
        method = RESAMPLING[self.random.interpolation or self.spec.interpolation]
        view = image.resize((self.spec.size, self.spec.size), method, box=pixels)
        return view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else view, box, flip

    def _sites(self, index: np.ndarray, drawn: Sequence[tuple[Box, bool]]) -> np.ndarray:
        assert self.labels is not None
        found = []
        for row, (box, flip) in zip(index, drawn, strict=True):
            codes = sampled(self.labels[row], self.side, box)
            found.append(codes[:, ::-1] if flip else codes)
        flat = np.stack(found).reshape(-1).astype(np.int64)
        return np.where(flat == IGNORE, NONE, flat)


def drawn_box(size: tuple[int, int], rng: np.random.Generator, how: RandomViews) -> Box:
    """Draw a part of an image: left, top, right, bottom, as shares."""
    width, height = size
    for _ in range(10):
        part = width * height * rng.uniform(*how.area)
        aspect = width / height * np.exp(rng.uniform(*np.log(how.ratio)))  # of a squashed image: its own is the middle
        w, h = np.sqrt(part * aspect), np.sqrt(part / aspect)
        if w <= width and h <= height:
            left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
            return left / width, top / height, (left + w) / width, (top + h) / height
    return WHOLE


def recoloured(image: Image.Image, rng: np.random.Generator, how: RandomViews) -> Image.Image:
    """Return a strong view that moves nothing: random operations on colours and sharpness."""
    operations = [name for name in how.operations if name not in MOVES]
    for _ in range(how.strong.changes):
        operation = operations[rng.integers(len(operations))]
        happens = rng.random() < how.strong.chance
        amount, sign = rng.normal(how.strong.strength, how.strong.spread), rng.choice((-1.0, 1.0))
        if happens:
            image = changed(image, operation, float(np.clip(amount, 0, 1)), float(sign))
    return image


def views_of(random: RandomViews, *, given: bool) -> RandomViews:
    """Return the parameters of random views for dense rows; crops that the recipe leaves open are larger."""
    return random if given else replace(random, area=AREA)
