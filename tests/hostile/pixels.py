"""Files that call themselves pictures, and a model that predicts them."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.hostile import saved
from tests.hostile.kit import Corpus, picture

PIXELS = Corpus()
NOISE = np.random.default_rng(0)


def predicting(place: Path | str) -> list[str]:
    return ["predict", str(saved.model()), str(place), "--format", "csv"]


def _square(mode: str) -> Image.Image:
    return Image.fromarray(NOISE.integers(0, 255, (12, 12, 3), dtype=np.uint8)).convert(mode)


MODES = {  # sound pictures of every mode
    "black and white": ("png", lambda: _square("1")),
    "grey": ("png", lambda: _square("L")),
    "grey with transparency": ("png", lambda: _square("LA")),
    "a palette": ("png", lambda: _square("P")),
    "colour with transparency": ("png", lambda: _square("RGBA")),
    "print colours": ("jpg", lambda: _square("CMYK")),
    "lab colours": ("tif", lambda: _square("LAB")),
    "16 bits": ("png", lambda: Image.fromarray(NOISE.integers(0, 65535, (12, 12), dtype=np.uint16))),
    "32 bits": ("tif", lambda: Image.fromarray(NOISE.integers(0, 65535, (12, 12), dtype=np.int32))),
    "fractions": ("tif", lambda: Image.fromarray(NOISE.random((12, 12), dtype=np.float32))),
    "one pixel": ("png", lambda: Image.new("RGB", (1, 1), "red")),
    "one column": ("png", lambda: Image.new("RGB", (1, 2000), "red")),
    "one row": ("png", lambda: Image.new("RGB", (2000, 1), "red")),
}


def _saved(root: Path, suffix: str, make: Callable[[], Image.Image]) -> list[str]:
    place = root / f"a.{suffix}"
    make().save(place)
    return predicting(place)


for _name, (_suffix, _make) in MODES.items():
    PIXELS.works(f"a picture of {_name}", r"a\.\w+,(cat|dog),0\.\d+", never=(r"nan", r"NaN"))(
        lambda root, suffix=_suffix, make=_make: _saved(root, suffix, make)
    )


def _png() -> bytes:
    buffer = io.BytesIO()
    _square("RGB").save(buffer, "png")
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def _with_text(size: int) -> bytes:
    whole = _png()
    return whole[:33] + _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(size), 9)) + whole[33:]


FILES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "nothing": ("a.png", lambda: b"", r"a\.png"),
    "text": ("a.png", lambda: b"hello", r"a\.png"),
    "half a picture": ("a.png", lambda: _png()[: len(_png()) // 2], r"a\.png"),
    "a header alone": ("a.png", lambda: _png()[:8], r"a\.png"),
    "random bytes": ("a.jpg", lambda: NOISE.bytes(2000), r"a\.jpg"),
    "PostScript": ("a.png", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", r"a\.png"),
    "a page": ("a.png", lambda: b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n", r"a\.png"),
    "a web page": ("a.jpg", lambda: b"<!doctype html><html>Sign in</html>", r"a\.jpg"),
    "a vector graphic": ("a.png", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", r"a\.png"),
    "a pointer of large file storage": (
        "a.png",
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "a",
    ),
    "a bomb of pixels": (
        "a.png",
        lambda: _header(60000, 60000) + _chunk(b"IDAT", b"") + _chunk(b"IEND", b""),
        r"a\.png",
    ),
    "no width": ("a.png", lambda: _header(0, 9) + _chunk(b"IEND", b""), r"a\.png"),
}
for _name, (_file, _bytes, _says) in FILES.items():

    @PIXELS.refused(f"a picture that is {_name}", _says)
    def _(root: Path, file: str = _file, content: Callable[[], bytes] = _bytes) -> list[str]:
        (root / file).write_bytes(content())
        return predicting(root / file)


@PIXELS.works("a picture whose comment unpacks to 100 MB", r"label")
def text_bomb(root: Path) -> list[str]:
    (root / "a.png").write_bytes(_png())
    (root / "b.png").write_bytes(_with_text(100_000_000))
    return [*predicting(root), "--on-bad-sample", "skip"]


@PIXELS.works("a broken picture among sound ones", r"a\.png", never=(r"b\.png,(cat|dog)",))
def skipped(root: Path) -> list[str]:
    picture(root / "in" / "a.png")
    (root / "in" / "b.png").write_bytes(b"no")
    return [*predicting(root / "in"), "--on-bad-sample", "skip"]


@PIXELS.refused("not a number among pixels", r"(?i)nan|finite")
def not_a_number(root: Path) -> list[str]:
    Image.fromarray(np.full((12, 12), np.nan, dtype=np.float32)).save(root / "a.tif")
    return predicting(root / "a.tif")


@PIXELS.refused("infinity among pixels", r"(?i)inf|finite")
def infinite(root: Path) -> list[str]:
    pixels = NOISE.random((12, 12), dtype=np.float32)
    pixels[3, 3] = np.inf
    Image.fromarray(pixels).save(root / "a.tif")
    return predicting(root / "a.tif")


@PIXELS.refused("an endless device behind a link", r"a\.png")
def endless(root: Path) -> list[str]:
    os.symlink("/dev/zero", root / "a.png")
    return predicting(root / "a.png")


@PIXELS.refused("a pipe that nobody writes to", r"a\.png")
def pipe(root: Path) -> list[str]:
    os.mkfifo(root / "a.png")
    return predicting(root / "a.png")


@PIXELS.refused("a folder that is called as a picture is", r".")
def folder(root: Path) -> list[str]:
    (root / "a.png").mkdir()
    return predicting(root / "a.png")


@PIXELS.refused("a picture that is not there", r"a\.png")
def missing(root: Path) -> list[str]:
    return predicting(root / "a.png")


def _exif(tag: int, kind: int, count: int, value: bytes) -> bytes:
    entry = struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    return b"Exif\0\0" + b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + bytes(4)


EXIF = {
    "an orientation that is text": _exif(0x0112, 2, 4, b"abc\0"),
    "an orientation out of range": _exif(0x0112, 3, 1, struct.pack("<H", 99)),
    "an orientation that is a fraction": _exif(0x0112, 5, 1, struct.pack("<I", 8)),
    "an orientation of two values": _exif(0x0112, 3, 2, struct.pack("<HH", 6, 6)),
    "a block that ends early": _exif(0x0112, 3, 1, struct.pack("<H", 6))[:15],
    "random bytes": b"Exif\0\0" + NOISE.bytes(60),
    "an offset out of the file": b"Exif\0\0II*\0" + struct.pack("<I", 2**31),
}
for _name, _block in EXIF.items():

    @PIXELS.works(f"EXIF with {_name}", r"a\.jpg,(cat|dog)")
    def _(root: Path, block: bytes = _block) -> list[str]:
        picture(root / "a.jpg", exif=block)
        return predicting(root / "a.jpg")


@PIXELS.works("several frames", r"a\.gif,(cat|dog)")
def frames(root: Path) -> list[str]:
    _square("P").save(root / "a.gif", save_all=True, append_images=[_square("P")])
    return predicting(root / "a.gif")


@PIXELS.works("a colour profile that is none", r"a\.jpg,(cat|dog)")
def profile(root: Path) -> list[str]:
    picture(root / "a.jpg", icc_profile=b"no profile")
    return predicting(root / "a.jpg")


@PIXELS.works("a suffix of another kind of picture", r"a\.jpg,(cat|dog)")
def other_suffix(root: Path) -> list[str]:
    (root / "a.jpg").write_bytes(_png())
    return predicting(root / "a.jpg")


@PIXELS.works("a file name with a line break, quotes and a comma", r"(cat|dog),0\.")
def strange_name(root: Path) -> list[str]:
    return predicting(picture(root / 'a,"b"\nc.png'))
