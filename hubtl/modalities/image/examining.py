"""Measure an image: its size and channels, and a sketch of its colours and edges."""

from typing import Any

import numpy as np
from PIL import Image

from hubtl.modalities.base import Examined
from hubtl.modalities.image.decoding import decode
from hubtl.modalities.image.page import eight_bits

SIDE = 32  # pixels of the sketch
BINS = 8  # directions of edges


def examined(cell: Any) -> Examined:
    """Measure an encoded image. Raises UnreadableImage for one that is damaged."""
    image = decode(cell)
    sizes = {"width": image.width, "height": image.height, "channels": len(image.getbands())}
    return Examined(sizes, sketch(image))


def sketch(image: Image.Image) -> np.ndarray:
    """Return mean colours and directions of edges [320].

    Colours are of 8 × 8 places, edges of 4 × 4.
    """
    small = eight_bits(image).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    pixels = np.asarray(small, dtype=np.float32) / 255
    colours = pixels.reshape(8, 4, 8, 4, 3).mean((1, 3))
    down, right = np.gradient(pixels.mean(2))
    strength = np.hypot(down, right)
    direction = ((np.arctan2(down, right) / np.pi + 1) / 2 * BINS).astype(int) % BINS
    places = np.arange(SIDE) // (SIDE // 4)
    edges = np.zeros((4, 4, BINS), np.float32)
    np.add.at(edges, (places[:, None], places[None, :], direction), strength)
    return np.concatenate([colours.ravel(), np.sqrt(edges).ravel()])


def tile(cell: Any, side: int) -> Image.Image:
    """Make a thumbnail; small images are enlarged, their pixels as they are."""
    image = eight_bits(decode(cell))
    if "A" in image.getbands() or image.mode in ("P", "PA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    times = side // max(image.size)
    if times > 1:
        return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image
