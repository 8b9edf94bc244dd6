"""Hold the answer of a segmenter: a class for each pixel."""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from hubtl.tasks.parts import Answer


@dataclass(frozen=True)
class Regions(Answer):
    """Hold one image's outputs on the model's grid, and its areas."""

    percent: ClassVar[tuple[str, ...]] = ("share",)

    names: tuple[str, ...]
    outputs: np.ndarray = field(repr=False)  # float32 [sites, c]: logits
    shares: dict[str, float]
    pixels: dict[str, int] | None = None  # of the image's own size, where that is known

    @property
    def label(self) -> str:
        """Return the class of most pixels."""
        return max(self.shares, key=lambda name: self.shares[name])

    def of(self, image: Image.Image) -> "Regions":
        """Return the answer with its areas in pixels of the image."""
        counts = np.bincount(self.mask(*image.size).ravel(), minlength=len(self.names))
        pixels = dict(zip(self.names, counts.tolist(), strict=True))
        return replace(self, pixels=pixels, shares={name: n / counts.sum() for name, n in pixels.items()})

    def drawn(self, kind: str, image: Image.Image) -> Image.Image:
        """Draw the mask as a palette image of classes, or the overlay."""
        from hubtl.tasks.segmentation.palette import indexed

        return self.overlay(image) if kind == "overlays" else indexed(self.mask(*image.size), len(self.names))

    def row(self, top: int = 1) -> dict[str, Any]:
        areas = {
            f"{name}_{what}": value
            for name in self.names
            if self.pixels is not None
            for what, value in (("share", round(self.shares[name], 6)), ("pixels", self.pixels[name]))
        }
        return self.table(top) | areas

    def table(self, top: int = 1) -> dict[str, Any]:
        ordered = sorted(self.shares, key=lambda name: -self.shares[name])[: max(1, top)]
        found: dict[str, Any] = {"input": self.input}
        for place, name in enumerate(ordered, start=1):
            suffix = "" if top <= 1 else f"_{place}"
            found |= {f"label{suffix}": name, f"share{suffix}": round(self.shares[name], 4)}
        return found

    def mask(self, width: int, height: int) -> np.ndarray:
        """Return the class, uint8 [height, width], of each pixel of an image."""
        import torch

        from hubtl.tasks.segmentation.measuring import predicted

        found: np.ndarray = predicted(torch.from_numpy(self.outputs)[None], height, width)[0]
        return found

    def overlay(self, image: Image.Image, opacity: float = 0.5) -> Image.Image:
        """Return the image with its classes in colours over it."""
        from hubtl.tasks.segmentation.palette import coloured

        colours = coloured(self.mask(*image.size), len(self.names))
        return Image.blend(image.convert("RGB"), colours, opacity)
