"""Give each class a colour of Pascal VOC's map."""

import numpy as np
from PIL import Image


def voc_colours(n: int) -> np.ndarray:
    """Return colours, uint8 [n, 3]: the bits of a number are spread over the channels; 0 is black."""
    made = np.zeros((n, 3), dtype=np.uint8)
    for number in range(n):
        rest = number
        for bit in range(8):
            for channel in range(3):
                made[number, channel] |= ((rest >> channel) & 1) << (7 - bit)
            rest >>= 3
    return made


def palette(classes: int) -> np.ndarray:
    """Return colours, uint8 [classes, 3]: those of VOC's map after its black, as every class here is one."""
    return voc_colours(classes + 1)[1:]


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
