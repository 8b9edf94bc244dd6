"""Decode image files safely: regular files of raster formats, bounded, upright, first frame."""

import contextlib
import io
import os
import stat
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from hubtl.modalities.base import Unreadable
from hubtl.modalities.image.files import FORMATS

MOST_PIXELS = 178_956_970  # where Pillow itself speaks of a decompression bomb
MOST_BYTES = 2**31  # of a file
REFUSED = {
    b"%!PS": "PostScript is a program, and is not run",
    b"\xc5\xd0\xd3\xc6": "PostScript is a program, and is not run",
    b"%PDF": "a PDF holds pages, not pixels",
}
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 0x0112  # of EXIF
SAMPLE_FORMAT = 339  # of TIFF: 1 unsigned, 2 signed, 3 floats
ORDER = [name for name in FORMATS if name != "TGA"] + ["TGA"]  # which no mark tells: it comes last


class UnreadableImage(Unreadable):
    """Report an image that is none, is damaged or is refused. Its text says why."""


def decode(value: Any, *, small: bool = False) -> Image.Image:
    """Decode a cell, bytes or a path to a loaded image: upright, its first frame.

    Only the orientation is read from EXIF, and an unreadable one leaves the image unchanged. A PIL image is loaded.

    Args:
        value: an encoded cell ({"bytes": …, "path": …}), bytes, a path or a PIL image.
        small: allow a JPEG at an eighth of its size, several times as fast, to check whether it is complete.

    Raises:
        UnreadableImage: with the reason.
        FileNotFoundError: for a missing file.
    """
    with _as_unreadable():
        if isinstance(value, Image.Image):
            _bounded(value)
            value.load()
            return value
        with _file(value) as file:
            image = _identified(file)
            if small:
                image.draft(None, (1, 1))
            signs = _tag(image, SAMPLE_FORMAT) if image.format == "TIFF" else ()
            _load(image)
            _refuse_misread(image, 2 in signs)
            return _upright(image)


def mode_of(value: Any) -> str:
    """Return the mode that a cell's image will have. Its header alone is read.

    It raises as ``decode`` does.
    """
    with _as_unreadable(), _file(value) as file:
        return str(_identified(file).mode)


def is_deep_colour(value: Any) -> bool:
    """Return whether a TIFF has several channels of sixteen bits. Its header alone is read.

    It raises as ``decode`` does.
    """
    with _as_unreadable(), _file(value) as file:
        image = _identified(file)
        bits = _tag(image, 258) if image.format == "TIFF" else ()
        return len(bits) > 1 and max(bits) > 8


def is_cell(value: Any) -> bool:
    """Return whether a cell holds bytes or a path."""
    if isinstance(value, dict):
        return value.get("bytes") is not None or bool(value.get("path"))
    return value is not None


@contextlib.contextmanager
def _as_unreadable() -> Iterator[None]:
    """Turn every error of a decoder into one; silence its warnings about files that it reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (UnreadableImage, FileNotFoundError):
            raise
        except MemoryError as error:
            raise UnreadableImage("it does not fit into memory") from error
        except Exception as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            plain = isinstance(error, OSError | ValueError | SyntaxError)
            raise UnreadableImage(said if plain else f"it is damaged ({said})") from error


@contextlib.contextmanager
def _file(value: Any) -> Iterator[IO[bytes]]:
    if not is_cell(value):
        raise UnreadableImage("the cell is empty")
    raw = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(raw, bytes | bytearray | memoryview):
        if not len(raw):
            raise UnreadableImage("it holds no bytes")
        yield io.BytesIO(raw)
        return
    path = Path(value["path"] if isinstance(value, dict) else value).expanduser()
    with open_regular(path) as file:
        yield file


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file for reading: a pipe would wait for ever, a device never end.

    Raises:
        UnreadableImage: for anything else, for an empty file and for one of more than 2 GiB.
        FileNotFoundError: for a missing file.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableImage("a folder" if stat.S_ISDIR(found.st_mode) else "no regular file, but a pipe or a device")
    if found.st_size == 0:
        raise UnreadableImage("the file is empty")
    if found.st_size > MOST_BYTES:
        raise UnreadableImage(f"the file has {found.st_size:,} bytes, and more than {MOST_BYTES:,} are not read")
    return path.open("rb")


def _identified(file: IO[bytes]) -> Image.Image:
    head = file.read(4)
    file.seek(0)
    for mark, reason in REFUSED.items():
        if head.startswith(mark):
            raise UnreadableImage(reason)
    try:
        image = Image.open(file, formats=ORDER)
    except UnidentifiedImageError as error:
        raise UnreadableImage("it is no image, of a format that is not read, or damaged") from error
    _bounded(image)
    return image


def _bounded(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise UnreadableImage(f"{width} × {height} pixels, and more than {MOST_PIXELS:,} are not read")


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except Exception:
        # a TIFF is turned by Pillow once its pixels are there: what fails then is what the file says of itself
        if image.format != "TIFF" or getattr(image, "tile", True) or getattr(image, "_im", None) is None:
            raise


def _tag(image: Image.Image, number: int) -> tuple[int, ...]:
    """Return the integers of a tag of a TIFF; none where it is missing or holds something else."""
    found = getattr(image, "tag_v2", {}).get(number, ())
    found = found if isinstance(found, tuple) else (found,)
    return found if all(isinstance(value, int) for value in found) else ()


def _refuse_misread(image: Image.Image, signed: bool) -> None:
    """Raise UnreadableImage for integers of a TIFF that Pillow misreads: dark would come out bright."""
    if signed and image.mode in ("1", "L", "P"):
        raise UnreadableImage(
            "it holds signed integers of 8 bits, which would be read as unsigned: save it with 16 bits"
        )
    if image.format == "TIFF" and image.mode == "I" and not signed and int(np.asarray(image).min()) < 0:
        raise UnreadableImage("it holds integers above 2,147,483,647, which would be read as negative: scale the file")


def _upright(image: Image.Image) -> Image.Image:
    turn = TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """Return EXIF's orientation, 1 to 8; 1 (unchanged) without a valid one."""
    try:
        value: Any = image.getexif().get(ORIENTATION)
    except Exception:  # noqa: BLE001 - whatever Pillow trips over in other tags
        value = None
    try:
        value = _entry(image.info["exif"]) if value is None and "exif" in image.info else value
        value = value[0] if isinstance(value, tuple | list) else value
        value = value.decode("ascii") if isinstance(value, bytes) else value
        return int(float(value.strip("\0 ") if isinstance(value, str) else value))
    except (TypeError, ValueError, OverflowError, IndexError, ZeroDivisionError, struct.error):
        return 1


def _entry(exif: bytes) -> int | None:
    """Return the orientation among the first entries of EXIF. Pillow stops at a damaged one."""
    data = exif.removeprefix(b"Exif\0\0")
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for place in range(start + 2, start + 2 + 12 * min(count, 500), 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", data, place)
        if tag == ORIENTATION and kind == 3:
            return int(value)
    return None
