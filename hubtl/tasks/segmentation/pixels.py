"""Decode a mask: the values of its pixels, whatever the file's format."""

import io
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from PIL import Image

from hubtl.errors import HubtlError

UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
SCALED = {"L;2": 85, "L;4": 17}  # grey PNG of few bits: Pillow scales its values up to 255
TURNED = 5  # from here on, an EXIF orientation swaps width and height


@dataclass(frozen=True)
class Pixels:
    """Hold the values of a mask: [h, w], or colours [h, w, 3] as one number each; ``bits`` are 0 and 1 alone."""

    values: np.ndarray
    coloured: bool = False
    bits: bool = False
    lossy: bool = False


@dataclass(frozen=True)
class Place:
    """Hold where a mask is, for errors."""

    where: str
    split: str
    column: str
    row: int
    file: str = ""

    def odd(self, what: str, hint: str = "mend that mask") -> HubtlError:
        """Return the error of this mask."""
        file = f" ({self.file})" if self.file else ""
        return HubtlError(
            f"{self.where}, split {self.split}, column {self.column!r}, row {self.row}{file}: {what}", hint=hint
        )


def _stream(cell: Any) -> IO[bytes]:
    """Open a cell's bytes or file; Pillow leaves files of several frames open where it opens them itself."""
    return io.BytesIO(cell["bytes"]) if cell.get("bytes") else open(cell["path"], "rb")


def decoded(cell: Any, place: Place) -> Pixels | None:
    """Return the values of a mask's cell; None where it is empty.

    Palette images are read by index. A colour image whose channels are equal is read as a grey one.

    Raises:
        HubtlError: for a mask that is missing, and for one that cannot be read.
    """
    if cell is None or not (cell.get("bytes") or cell.get("path")):
        return None
    try:
        with _stream(cell) as stream, Image.open(stream) as image:
            lossy = image.format in ("JPEG", "MPO", "WEBP")
            raw = str(image.tile[0][3]) if image.tile else ""
            image.load()
            return _values(image, raw, lossy, place)
    except FileNotFoundError as error:
        raise place.odd("the mask is missing", "add it, or empty its cell: the row is unlabelled then") from error
    except UNREADABLE as error:
        raise place.odd(f"the mask cannot be read: {error}") from error


def _values(image: Image.Image, raw: str, lossy: bool, place: Place) -> Pixels:
    if image.mode == "1":
        return Pixels(np.array(image).astype(np.uint8), bits=True)
    if image.mode in ("P", "PA"):
        return Pixels(np.array(image if image.mode == "P" else image.getchannel(0)), lossy=lossy)
    if image.mode in ("L", "LA"):
        values = np.array(image.getchannel(0))
        return Pixels(values // next((by for kind, by in SCALED.items() if kind in raw), 1), lossy=lossy)
    if image.mode in ("RGB", "RGBA"):
        return _of_colours(np.array(image.convert("RGB")), lossy)
    if image.mode in ("I", "I;16", "I;16B", "I;16L"):
        values = np.array(image)
        return Pixels(values.astype(np.uint8) if values.min(initial=0) >= 0 and values.max(initial=0) < 256 else values)
    raise place.odd(
        f"a mask of mode {image.mode} has no class numbers", "save it as an 8 bit or 16 bit image of numbers"
    )


def _of_colours(values: np.ndarray, lossy: bool) -> Pixels:
    if (values[..., 0] == values[..., 1]).all() and (values[..., 0] == values[..., 2]).all():
        return Pixels(np.ascontiguousarray(values[..., 0]), lossy=lossy)
    wide = values.astype(np.int32)
    return Pixels(numbered(wide), coloured=True, lossy=lossy)


def numbered(colours: np.ndarray) -> np.ndarray:
    """Return each colour [..., 3] as one number."""
    wide = np.asarray(colours).astype(np.int32)
    return np.asarray((wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2])


def present(values: np.ndarray) -> np.ndarray:
    """Return the values that occur, sorted."""
    if values.dtype == np.uint8:  # counting is faster than sorting
        return np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    return np.unique(values)


def picture_size(cell: Any) -> tuple[int, int] | None:
    """Return the height and width of a row's image by its header; None where it has none or cannot be read."""
    if cell is None or not (cell.get("bytes") or cell.get("path")):
        return None
    try:
        with _stream(cell) as stream, Image.open(stream) as image:
            width, height = image.size
            return (width, height) if image.getexif().get(0x0112, 1) >= TURNED else (height, width)
    except UNREADABLE:
        return None  # whoever reads the image says so
