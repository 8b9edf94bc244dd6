"""Decide black and white of pixels of more than eight bits. The decision holds for a dataset as a whole."""

import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from hubtl.backbones.base import PixelRanges, Range
from hubtl.data.content import heads
from hubtl.modalities.image.decoding import UnreadableImage, decode, is_deep_colour, mode_of
from hubtl.settings import logger

KINDS = {"F": "floats", "I": "integers", "I;16": "integers", "I;16L": "integers", "I;16B": "integers"}
KINDS["I;16N"] = "integers"
TOPS = (1.0, 255.0, 4095.0, 65535.0)  # what white is, by custom
SHARE = 16  # values that fill less than this part of such a range would be read as nearly one grey
OVERSHOOT = 0.05  # of a range of floats: what resampling adds at edges
PNG, TIFF = b"\x89PNG", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PPM = re.compile(rb"P6\s+\d+\s+\d+\s+(\d+)\s")
EIGHT_BITS = (b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF")  # formats that hold no others


def kind_of(image: Image.Image) -> str | None:
    """Return ``floats`` or ``integers``; None for an image of eight bits."""
    return KINDS.get(image.mode)


def values_of(image: Image.Image) -> np.ndarray:
    """Return the values of an image, float64 [h, w].

    Raises:
        UnreadableImage: for values that are not finite.
    """
    found = np.asarray(image).astype(np.float64)
    if not np.isfinite(found).all():
        raise UnreadableImage("it holds values that are not finite (NaN or infinity)")
    return found


def eight_bits(image: Image.Image, known: PixelRanges) -> Image.Image:
    """Convert an image of floats or many bits to mode L. The known range scales it, else its own values."""
    kind, values = KINDS[image.mode], values_of(image)
    low, high = known.of(kind) or decided(float(values.min()), float(values.max()), kind)
    scaled = ((values - low) * (255 / (high - low))).round().clip(0, 255).astype(np.uint8)
    clear = image.info.get("transparency")
    if isinstance(clear, int):  # a key: pixels of this value are transparent, and transparent ones lie on white
        scaled[values == clear] = 255
    return Image.fromarray(scaled)


def decided(low: float, high: float, kind: str) -> Range:
    """Return black and white for values between ``low`` and ``high``.

    It is a common range that they fill, else their own.
    """
    slack = OVERSHOOT if kind == "floats" else 0.0
    if low >= high and high <= TOPS[-1] and low >= 0:  # one value alone fills nothing
        return 0.0, next(top for top in TOPS if high <= top) if high else TOPS[-1 if kind == "integers" else 0]
    for top in TOPS:
        if low >= -slack * top and high <= (1 + slack) * top and high - low >= top / SHARE:
            return 0.0, top
    if kind == "floats" and low >= -1 - slack and high <= 1 + slack and high - low >= 2 / SHARE:
        return -1.0, 1.0
    return (float(low), float(high)) if low < high else (min(low, 0.0), max(high, 0.0))


def ranges_in(cells: Iterable[Any], known: PixelRanges, where: str) -> PixelRanges:
    """Return known ranges, and those of other kinds in these cells. The cells hold images.

    It prints the ranges, and counts images beyond a known range or with almost no contrast. Unreadable ones are left
    out.
    """
    spans: dict[str, Range] = {}
    own_spans: list[tuple[str, float]] = []  # kind and span of each image that is not of one value
    within: dict[str, Range] = {}  # of kinds whose range is known
    count = beyond = 0
    for cell in cells:
        try:
            image = decode(cell)
            kind = kind_of(image)
            if kind is None:
                continue
            values = values_of(image)
        except (UnreadableImage, OSError):
            continue
        low, high = float(values.min()), float(values.max())
        own = spans if (fixed := known.of(kind)) is None else within
        before = own.get(kind, (math.inf, -math.inf))
        own[kind] = min(low, before[0]), max(high, before[1])
        if fixed is not None:
            slack = OVERSHOOT * (fixed[1] - fixed[0])
            beyond += low < fixed[0] - slack or high > fixed[1] + slack
        else:
            count += 1
            own_spans += [(kind, high - low)] if low < high else []
    new = PixelRanges(**{kind: decided(low, high, kind) for kind, (low, high) in spans.items()})
    if new:
        logger.info("pixels     %s: %s in %d images, scaled to 0 to 255", where, new, count)
    wholes = {kind: high - low for kind in spans if (found := new.of(kind)) for low, high in [found]}
    if lost := sum(span * 255 <= wholes[kind] for kind, span in own_spans):
        logger.warning(
            "pixels     %s: %d of %d images fill no more than one grey of that: are they of another scale?",
            *(where, lost, count),
        )
    if beyond:
        logger.warning("pixels     %s: %d images go beyond %s, and are cut off there", where, beyond, known)
    for kind, (low, high) in within.items():
        fixed = known.of(kind)
        if fixed is not None and low < high and high - low < (fixed[1] - fixed[0]) / SHARE:
            logger.warning(
                "pixels     %s: %s from %g to %g are read by the range %g to %g, and become nearly one grey: scale the files",
                *(where, kind, low, high, *fixed),
            )
    return known.over(new)


def ranges_of(dataset: Any, column: str, known: PixelRanges, where: str) -> PixelRanges:
    """Return the ranges of a dataset's images; only images that may exceed eight bits are decoded.

    Args:
        dataset: the data set.
        column: its column with the images.
        known: the known ranges.
        where: the data set's name, for messages.
    """
    rows = wide_rows(dataset, column)
    if dim := _dim(dataset, column):
        logger.warning(
            "pixels     %s: the %d colour images of 16 bits fill less than a sixteenth of them, and become nearly black: "
            "scale the files, or save them with 8 bits",
            *(where, dim),
        )
    return ranges_in((dataset[row][column] for row in rows), known, where) if len(rows) else known


def wide_rows(dataset: Any, column: str) -> list[int]:
    """Return rows of an image column with more than eight bits. The column is undecoded; its first bytes tell."""
    doubtful = [row for row, head in enumerate(heads(dataset, column, 32)) if _doubtful(head)]
    return [row for row in doubtful if _mode(dataset[row][column]) in KINDS]


def _dim(dataset: Any, column: str) -> int:
    """Count colour images of sixteen bits with four empty upper bits. All images have to be such.

    They may be PNG, TIFF or PPM. The reader returns only the upper eight bits.
    """
    rows = [row for row, head in enumerate(heads(dataset, column, 32)) if _deep(head, dataset, row, column)]
    brightest = 0
    for row in rows:
        try:
            brightest = max(brightest, int(np.asarray(decode(dataset[row][column]).convert("RGB")).max()))
        except (UnreadableImage, OSError):
            continue
        if brightest >= 256 // SHARE:
            return 0
    return len(rows) if brightest else 0


def _deep(head: bytes, dataset: Any, row: int, column: str) -> bool:
    """Return whether an image has several channels of more than eight bits.

    The first bytes tell, for TIFF the header.
    """
    if head.startswith(PNG):
        return head[24:25] == b"\x10" and head[25:26] in (b"\x02", b"\x04", b"\x06")
    if found := PPM.match(head):
        return int(found[1]) > 255
    try:
        return head.startswith(TIFF) and is_deep_colour(dataset[row][column])
    except (UnreadableImage, OSError):
        return False


def _doubtful(head: bytes) -> bool:
    if head.startswith(PNG):
        return head[24:26] == b"\x10\x00"  # sixteen bits, grey
    return bool(head) and not head.startswith(EIGHT_BITS)


def _mode(cell: Any) -> str | None:
    try:
        return mode_of(cell)
    except (UnreadableImage, OSError):
        return None
