"""Read a domain's split as images: decoded once where they fit in memory, labelled or sealed."""

import zlib
from collections.abc import Collection, Sequence

import numpy as np
import torch
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image

from hubtl.backbones.base import ImageInput, PixelRanges
from hubtl.backbones.views import evaluation_view, to_bytes
from hubtl.batch import Batch
from hubtl.data import content
from hubtl.data.cells import file_name
from hubtl.data.origin import numbers
from hubtl.data.rows import Rows
from hubtl.errors import HubtlError, unknown
from hubtl.modalities.image.decoding import UnreadableImage, decode
from hubtl.modalities.image.ranges import KINDS
from hubtl.modalities.image.transforms import (
    SMALL,
    USUAL,
    RandomViews,
    strong_view,
    to_channels,
    training_view,
    weak_view,
)

VIEWS = {"weak": weak_view, "strong": strong_view}
UNREADABLE = (UnreadableImage, OSError)
KEPT_BYTES = 64 * 2**20  # of decoded images that random views are made of again, in each process


class ImageSet:
    """Hold images of one split under one view; rows are fetched in batches.

    A sealed set (``labels=None``) holds the image column alone: nothing in it can reveal a label.

    Args:
        dataset: rows of a ``datasets.Dataset``.
        image_column: its column with the images.
        labels: [n, …] in the task's own type; None seals the set.
        spec: the model's input.
        augment: random crops and flips instead of the evaluation view.
        name: for messages.
        views: random views to make of each row, ``weak`` or ``strong``; from cached pixels if there are any.
        random: parameters of crops and random views.
        domains: [n] which of several sources a row belongs to; None for one source.
        on_bad_sample: ``error`` stops at an unreadable image, ``skip`` finds them now and leaves their rows out.
        ranges: black and white of images of floats, or of integers of more than eight bits.
        cache_bytes: decoded images are kept in memory up to this size.
    """

    def __init__(
        self,
        dataset: Dataset,
        image_column: str,
        *,
        labels: np.ndarray | None,
        spec: ImageInput,
        augment: bool,
        name: str,
        views: tuple[str, ...] = (),
        random: RandomViews = USUAL,
        domains: np.ndarray | None = None,
        on_bad_sample: str = "error",
        ranges: PixelRanges = PixelRanges(),
        cache_bytes: int = 512 * 2**20,
    ) -> None:
        encoded = dataset.select_columns([image_column]).cast_column(image_column, ImageFeature(decode=False))
        self._encoded, self._column, self._numbers = encoded, image_column, numbers(dataset)
        self.labels = None if labels is None else np.asarray(labels)
        self.domains = domains
        self.spec, self.augment, self.name, self.ranges = spec, augment, name, ranges
        self.bad: list[str] = []
        self.note: str | None = None
        if strange := set(views) - VIEWS.keys():
            raise unknown("view", min(strange), VIEWS)
        self.views, self.random = views, random
        self.plain: Rows = self  # the same rows in the evaluation view
        mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
        self._scale = (1 / (255 * std)).view(1, -1, 1, 1)
        self._shift = (-mean / std).view(1, -1, 1, 1)
        self._rows = np.arange(len(dataset))
        if on_bad_sample == "skip":
            self._skip_unreadable()
        if len(self) == 0:
            raise HubtlError(f"{name} holds no readable image", hint="look at the files, or choose another split")
        self._look_at_first()
        self.cached = not augment and len(self) * spec.channels * spec.size**2 <= cache_bytes
        self._pixels: torch.Tensor | None = None
        self._kept: dict[int, Image.Image] = {}
        self._room = KEPT_BYTES
        self._fingerprint: str | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def fingerprint(self) -> str:
        """Return a digest of these images in this order (see ``hubtl.data.content.digest``)."""
        if self._fingerprint is None:
            everything = len(self._rows) == len(self._encoded)
            rows = self._encoded if everything else self._encoded.select(self._rows)
            self._fingerprint = f"{content.digest(rows, [self._column])}-{self.ranges}"
        return self._fingerprint

    def check(self) -> None:
        """Read every image now, and keep them where they fit.

        Raises:
            HubtlError: for an unreadable image.
        """
        if self.cached:
            self._cache()
            return
        for row in range(len(self)):
            self._channels(row, small=True)

    def fetch(self, rows: Sequence[int], *, seed: int | None = None, views: Collection[str] | None = None) -> Batch:
        """Fetch rows as a batch: ``image`` is float32 [b, c, h, w], normalised; ``index`` are the rows.

        Random views depend only on ``seed``, the row and its position in ``rows``; without a seed ``views`` stay empty.

        Args:
            rows: positions of the rows.
            seed: seed of the random views.
            views: the random views to make; None makes all of the set.

        Raises:
            HubtlError: for an unreadable image.
        """
        index = np.asarray(rows, dtype=np.int64)
        if self.cached:
            pixels = self._cache()[torch.from_numpy(index)]
        else:
            decoded = [self._view(int(row), place, seed) for place, row in enumerate(index)]
            pixels = torch.from_numpy(np.stack(decoded))
        labels = None if self.labels is None else torch.from_numpy(self.labels[index])
        wanted = [name for name in self.views if views is None or name in views]
        made = {} if seed is None else self._views(index, seed, wanted)
        domain = None if self.domains is None else torch.from_numpy(self.domains[index])
        return Batch({"image": self._normalised(pixels)}, labels, torch.from_numpy(index), views=made, domain=domain)

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float().mul_(self._scale).add_(self._shift)

    def _views(self, index: np.ndarray, seed: int, names: Sequence[str]) -> dict[str, dict[str, torch.Tensor]]:
        if not names:
            return {}
        made: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for place, row in enumerate(index.tolist()):
            image = self._image(row)
            for name in names:
                rng = np.random.default_rng([seed, place, row, zlib.crc32(name.encode())])
                made[name].append(to_bytes(VIEWS[name](image, self.spec, rng, self.random)))
        return {name: {"image": self._normalised(torch.from_numpy(np.stack(v)))} for name, v in made.items()}

    def _image(self, row: int) -> Image.Image:
        """Return a row as a PIL image with the model's channels. Cached or small images are in the evaluation view."""
        if not self.cached:
            image = self._decoded(row)
            return evaluation_view(image, self.spec) if self.spec.size < SMALL else image
        pixels = self._cache()[row].numpy()
        return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))

    def _cache(self) -> torch.Tensor:
        if self._pixels is None:
            pixels = torch.empty(len(self), self.spec.channels, self.spec.size, self.spec.size, dtype=torch.uint8)
            for row in range(len(self)):
                pixels[row] = torch.from_numpy(self._view(row, 0, None))
            self._pixels = pixels
        return self._pixels

    def _view(self, row: int, place: int, seed: int | None) -> np.ndarray:
        if self.augment:
            rng = np.random.default_rng([0 if seed is None else seed, place, row])
            return to_bytes(training_view(self._decoded(row), self.spec, rng, self.random))
        return to_bytes(evaluation_view(self._channels(row), self.spec))

    def _decoded(self, row: int) -> Image.Image:
        """Return a row's image for a random view. It comes from memory if there was room.

        Small images take longer to decode than to crop.
        """
        if (kept := self._kept.get(row)) is not None:
            return kept
        image = self._channels(row)
        size = image.width * image.height * len(image.getbands())
        if size <= self._room:
            self._room -= size
            self._kept[row] = image
        return image

    def _channels(self, row: int, *, small: bool = False) -> Image.Image:
        """Return a row as a PIL image with the model's channels."""
        position = int(self._rows[row])
        value = self._encoded[position][self._column]
        try:
            return to_channels(decode(value, small=small), self.spec.channels, self.ranges)
        except UNREADABLE as error:
            raise HubtlError(
                f"{self.name}: cannot read the image of row {self._numbers[position]} ({file_name(value)}): {error}",
                hint="mend or remove it, or --on-bad-sample skip",
            ) from error

    def _skip_unreadable(self) -> None:
        good = []
        for row in range(len(self._rows)):
            try:
                self._channels(row)
                good.append(row)
            except HubtlError:
                self.bad.append(f"row {self._numbers[row]}: {file_name(self._encoded[row][self._column])}")
        self._rows = np.asarray(good, dtype=np.int64)
        if self.labels is not None:
            self.labels = self.labels[self._rows]
        if self.domains is not None:
            self.domains = self.domains[self._rows]

    def _look_at_first(self) -> None:
        try:
            first = decode(self._encoded[int(self._rows[0])][self._column])
        except UNREADABLE:
            self._channels(0)  # says which row it is
            raise
        grey = first.mode in ("1", "L", "LA", "La", *KINDS)
        notes = [SCALED.format(ranges=self.ranges)] if self.ranges else []
        if grey and self.spec.channels == 3:
            notes.append("one-channel images are repeated to the model's three channels")
        elif not grey and self.spec.channels == 1:
            notes.append("colour images are turned to grey for the model's one channel")
        self.note = "; ".join(notes) or None


SCALED = (
    "images of {ranges} are scaled to 0 to 255: other libraries cut them off at 255, or at 1, "
    'unless they are scaled before .convert("RGB")'
)
