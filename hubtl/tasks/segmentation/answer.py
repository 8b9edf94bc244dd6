"""Hold the answer of a segmenter: a class for each pixel."""

from dataclasses import dataclass, field
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

    @property
    def label(self) -> str:
        """Return the class of most pixels."""
        return max(self.shares, key=lambda name: self.shares[name])

    def row(self, top: int = 1) -> dict[str, Any]:
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
