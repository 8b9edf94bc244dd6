"""Give each class a colour: that of Pascal VOC's colour map, which common tools use."""

import numpy as np
from PIL import Image


def palette(classes: int) -> np.ndarray:
    """Return colours, uint8 [classes, 3]: VOC's map, with the bits of a class spread over the channels."""
    made = np.zeros((classes, 3), dtype=np.uint8)
    for number in range(classes):
        rest = number + 1  # VOC's 0 is black, the background's: here every class is one
        for bit in range(8):
            for channel in range(3):
                made[number, channel] |= ((rest >> channel) & 1) << (7 - bit)
            rest >>= 3
    return made


def coloured(mask: np.ndarray, classes: int) -> Image.Image:
    """Return a mask [h, w] as an RGB image; pixels without a class are white."""
    table = np.full((256, 3), 255, dtype=np.uint8)
    table[:classes] = palette(classes)
    return Image.fromarray(table[mask])


def indexed(mask: np.ndarray, classes: int) -> Image.Image:
    """Return a mask [h, w] as a palette image; its values are the classes."""
    made = Image.fromarray(mask, mode="P")
    made.putpalette([*palette(classes).flatten().tolist(), *[255] * 3 * (256 - classes)])
    return made
