"""Pixels: every mode and range that Pillow gives, transparency on white, and files that are no images, or worse."""

import io
import os
import socket
import struct
import zlib
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from hubtl.backbones.base import ImageInput, PixelRanges
from hubtl.backbones.views import evaluation_view, to_bytes
from hubtl.data.origin import numbers, select
from hubtl.data.reading import ranges_in_rows
from hubtl.errors import HubtlError
from hubtl.modalities.image import decoding
from hubtl.modalities.image.decoding import UnreadableImage, decode
from hubtl.modalities.image.ranges import decided, ranges_of
from hubtl.modalities.image.rows import ImageSet
from hubtl.modalities.image.transforms import to_channels

RAMP = np.linspace(0, 1, 64).reshape(8, 8)
EIGHT = ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"]
DTYPES = {"F": np.float32, "I": np.int32, "I;16": np.uint16, "I;16B": ">u2"}
TOPS = {"F": (1, 255, 4095, 65535), "I": (255, 4095, 65535, 10**6), "I;16": (255, 4095, 65535), "I;16B": (255, 4095)}


def wide(mode: str, values: np.ndarray) -> Image.Image:
    array = np.asarray(values).astype(DTYPES[mode])
    return Image.frombytes(mode, array.shape[::-1], array.tobytes())


def table(folder: Path, images: list[Image.Image], suffix: str = "tif") -> datasets.Dataset:
    paths = []
    for number, image in enumerate(images):
        paths.append(str(folder / f"{number}.{suffix}"))
        image.save(paths[-1])
    return datasets.Dataset.from_dict({"image": paths}).cast_column("image", datasets.Image())


def ranges(dataset: datasets.Dataset, known: PixelRanges = PixelRanges()) -> PixelRanges:
    return ranges_in_rows(dataset, {"image": "image"}, known, "test")


def image_set(dataset: datasets.Dataset, **options) -> ImageSet:
    spec = ImageInput(size=8, channels=1, mean=(0.5,), std=(0.5,))
    options = {"ranges": ranges(dataset), "augment": False, **options}
    return ImageSet(dataset, "image", labels=None, spec=spec, name="test", **options)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("mode", "top"), [(mode, top) for mode, tops in TOPS.items() for top in tops])
def test_a_ramp_from_black_to_white_is_one_in_every_mode_and_range(mode, top, channels):
    made = to_bytes(to_channels(wide(mode, RAMP * top), channels))
    assert made.shape == (channels, 8, 8)
    assert np.abs(made[0].astype(int) - 255 * RAMP).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", EIGHT)
def test_eight_bits_of_every_mode_keep_their_brightness(mode, channels):
    made = []
    for value in (40, 200):
        plain = Image.new("RGB", (8, 8), (value,) * 3)
        if mode == "LAB":
            image = Image.new("LAB", (8, 8), (value, 128, 128))
        elif mode in ("La", "RGBa"):
            image = plain.convert(mode[:-1] + "A").convert(mode)
        else:
            image = plain.convert("L").convert(mode) if mode == "PA" else plain.convert(mode)
        made.append(to_bytes(to_channels(image, channels)).mean())
    assert made[1] - made[0] > 100


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa", "P", "L", "RGB", "1", "I;16"])
def test_what_is_transparent_lies_on_white_in_every_mode(mode, channels):
    if mode in ("P", "L", "RGB", "1", "I;16"):  # one value stands for it
        image = wide(mode, np.zeros((4, 4))) if mode == "I;16" else Image.new("RGB", (4, 4)).convert(mode)
        image.info["transparency"] = (0, 0, 0) if mode == "RGB" else 0
    else:
        through = {"La": "LA", "PA": "PA", "RGBa": "RGBA"}.get(mode, mode)
        image = Image.new("RGBA", (4, 4), (0, 0, 0, 0)).convert("LA" if mode in ("La", "LA") else "RGBA")
        if mode == "PA":
            image = Image.new("PA", (4, 4))
        image = image.convert(through).convert(mode) if mode != "PA" else image
    assert to_bytes(to_channels(image, channels)).min() == 255


@pytest.mark.parametrize(
    ("low", "high", "kind", "expected"),
    [
        (0.6, 0.93, "floats", (0, 1)),
        (-0.02, 1.03, "floats", (0, 1)),  # what resampling overshoots
        (-0.9, 0.9, "floats", (-1, 1)),
        (0.0, 220.5, "floats", (0, 255)),
        (0.0, 2.5, "floats", (0, 2.5)),  # or it would be nearly black by 0 to 255
        (0.0, 0.004, "floats", (0, 0.004)),
        (271.0, 309.0, "floats", (271, 309)),  # degrees
        (0, 255, "integers", (0, 255)),
        (0, 256, "integers", (0, 4095)),
        (3, 4095, "integers", (0, 4095)),
        (0, 4096, "integers", (0, 65535)),
        (29000, 31000, "integers", (29000, 31000)),
        (-1024, 3071, "integers", (-1024, 3071)),
        (0, 10**6, "integers", (0, 10**6)),
        (0, 0, "integers", (0, 65535)),
        (40000, 40000, "integers", (0, 65535)),
        (0.5, 0.5, "floats", (0, 1)),
        (-3, -3, "integers", (-3, 0)),
    ],
)
def test_black_and_white_are_those_of_custom_where_the_values_fill_them(low, high, kind, expected):
    assert decided(low, high, kind) == expected


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_the_range_is_that_of_the_dataset_and_not_of_an_image(tmp_path, suffix, caplog):
    dataset = table(tmp_path, [wide("I;16", RAMP * top) for top in (300, 4000)], suffix)
    with caplog.at_level("INFO"):
        images = image_set(dataset)
    assert images.ranges == PixelRanges(integers=(0, 4095))
    assert "integers from 0 to 4095 in 2 images" in caplog.text
    assert "integers from 0 to 4095" in images.note
    dark, bright = (images.fetch([row]).inputs["image"].max() for row in (0, 1))
    assert dark < -0.8
    assert bright > 0.9


def test_images_of_several_modes_have_a_range_for_each_kind(tmp_path):
    images = [wide("F", RAMP), wide("I;16", RAMP * 65535), Image.fromarray((RAMP * 255).astype(np.uint8))]
    dataset = table(tmp_path, images)
    assert ranges(dataset) == PixelRanges(integers=(0, 65535), floats=(0, 1))
    seen = image_set(dataset).fetch([0, 1, 2]).inputs["image"]
    assert float((seen - seen[0]).abs().max()) < 0.02
    assert ranges(table(tmp_path, images[2:])) == PixelRanges()


def test_rows_beyond_the_range_of_the_training_rows_are_counted(tmp_path, caplog):
    dataset = table(tmp_path, [wide("I;16", RAMP * top) for top in (4000, 60000, 50000)])
    known = PixelRanges(integers=(0, 4095))
    assert ranges(dataset, known) == known
    assert "2 images go beyond integers from 0 to 4095" in caplog.text


@pytest.mark.parametrize(("mode", "top", "known"), [("I;16", 4000, 65535), ("F", 1, 255), ("F", 12, 255)])
def test_rows_that_fill_next_to_nothing_of_a_known_range_are_said(tmp_path, caplog, mode, top, known):
    dataset = table(tmp_path, [wide(mode, RAMP * top), wide(mode, RAMP * top / 2)])
    kind = "floats" if mode == "F" else "integers"
    ranges(dataset, PixelRanges(**{kind: (0, known)}))
    assert f"{kind} from 0 to {top} are read by the range 0 to {known}, and become nearly one grey" in caplog.text


@pytest.mark.parametrize(("top", "said"), [(4095, True), (65535, False)])
def test_colours_of_sixteen_bits_that_hold_twelve_are_said(tmp_path, caplog, top, said):
    cells = []
    for colour, bands in ((2, 3), (6, 4), (4, 2)):
        line = b"\0" + struct.pack(f">{8 * bands}H", *([top // 2] * (bands - 1) + [65535]) * 8)
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, colour, 0, 0, 0))
        body = chunk(b"IDAT", zlib.compress(line * 8)) + chunk(b"IEND", b"")
        cells.append({"bytes": b"\x89PNG\r\n\x1a\n" + header + body, "path": None})
    cells[0]["bytes"] = cells[1]["bytes"]
    dataset = datasets.Dataset.from_dict({"image": cells}, features=datasets.Features({"image": datasets.Image()}))
    ranges(dataset)
    assert ("the 3 colour images of 16 bits fill less than a sixteenth" in caplog.text) is said


def test_embedded_images_are_looked_at_too(tmp_path):
    buffer = io.BytesIO()
    wide("I;16", RAMP * 4000).save(buffer, "PNG")
    cells = [{"bytes": buffer.getvalue(), "path": None}, None, {"bytes": b"\x89PNG", "path": None}]
    dataset = datasets.Dataset.from_dict({"image": cells}, features=datasets.Features({"image": datasets.Image()}))
    plain = dataset.cast_column("image", datasets.Image(decode=False))
    assert ranges_of(plain, "image", PixelRanges(), "test").integers == (0, 4095)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_and_named(tmp_path, value):
    broken = RAMP.copy()
    broken[3, 3] = value
    dataset = table(tmp_path, [wide("F", RAMP), wide("F", broken)])
    images = image_set(dataset)
    assert images.ranges.floats == (0, 1)  # of those that can be read
    with pytest.raises(HubtlError, match=r"row 1 \(1.tif\): it holds values that are not finite"):
        images.check()
    assert image_set(dataset, on_bad_sample="skip").bad == ["row 1: 1.tif"]


def test_ranges_survive_being_written():
    made = PixelRanges(integers=(0, 4095), floats=(-1, 1))
    assert PixelRanges.read(made.as_dict()) == made
    for wrong in (
        None,
        [],
        "x",
        {"integers": [1]},
        {"integers": [2, 1]},
        {"floats": [0, float("nan")]},
        {"other": [0, 1]},
    ):
        assert not PixelRanges.read(wrong)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (1, 10_000), (10_000, 1), (2, 3)])
@pytest.mark.parametrize("mode", ["center", "floor", "squash"])
def test_tiny_and_long_images_become_the_models_square(shape, mode):
    spec = ImageInput(size=32, crop_pct=0.9, crop_mode=mode)
    image = to_channels(Image.new("RGB", shape, (200, 100, 50)), 3)
    made = to_bytes(evaluation_view(image, spec))
    assert made.shape == (3, 32, 32)
    assert made[:, 16, 16].tolist() == [200, 100, 50]


TAGS = {"make": 0x010F, "width": 0x0100, "xres": 0x011A, "unit": 0x0128, "orientation": 0x0112}


def exif(tag: int, kind: int, value: bytes, orientation: bytes | None = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)):
    """A TIFF header with a tag of some type, and the orientation: turned by a quarter."""
    entries = [struct.pack("<HHI", tag, kind, 1) + value.ljust(4, b"\0")[:4]]
    if orientation is not None and tag != 0x0112:
        entries.append(orientation)
    entries.sort(key=lambda e: e[:2])
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + b"\0\0\0\0"


@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kind", range(1, 14))
@pytest.mark.parametrize("tag", ["make", "width", "xres", "unit"])
def test_a_tag_of_any_type_leaves_the_image_upright(tag, kind, suffix):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 8), (200, 10, 10)).save(buffer, suffix, exif=exif(TAGS[tag], kind, b"\xff\xff\xff\xff"))
    assert decode(buffer.getvalue()).size == (8, 16)


@pytest.mark.parametrize("value", [b"\x06\0\0\0", b"6\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\0"])
@pytest.mark.parametrize("kind", range(14))
def test_an_orientation_of_any_type_is_no_error(kind, value):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 8)).save(buffer, "JPEG", exif=exif(0x0112, kind, value))
    assert decode(buffer.getvalue()).size in ((16, 8), (8, 16))
    if (kind, value) in ((3, b"\x06\0\0\0"), (2, b"6\0\0\0")):
        assert decode(buffer.getvalue()).size == (8, 16)


@pytest.mark.parametrize("length", [0, 1, 7, 12, 19])
def test_an_exif_that_is_cut_off_leaves_the_image_as_it_lies(length):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 8)).save(buffer, "JPEG", exif=exif(0x010F, 2, b"x")[: 6 + length])
    assert decode(buffer.getvalue()).size == (16, 8)


def encoded(kind: str, image: Image.Image | None = None, **options) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray((np.random.default_rng(0).random((32, 32, 3)) * 255).astype(np.uint8))).save(
        buffer, kind, **options
    )
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunk(extra: bytes) -> bytes:
    plain = encoded("PNG")
    return plain[:33] + extra + plain[33:]


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


BOMB = zlib.compress(bytes(70 * 2**20))
HOSTILE = {
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(x) (w) file\nshowpage\n",
    "dos postscript": b"\xc5\xd0\xd3\xc6" + bytes(40),
    "pdf": b"%PDF-1.4\n",
    "html": b"<!doctype html><title>404</title>",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "git pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
    "zeros": bytes(1000),
    "empty": b"",
    "one byte": b"\xff",
    "pixels": png_header(100_000, 100_000) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""),
    "no pixels": png_header(0, 0) + chunk(b"IEND", b""),
    "text bomb": with_chunk(chunk(b"zTXt", b"k\0\0" + BOMB)),
    "profile bomb": with_chunk(chunk(b"iCCP", b"k\0\0" + BOMB)),
    "long chunk": with_chunk(struct.pack(">I", 2**31 - 1) + b"tEXtx"),
    "half a png": encoded("PNG")[:400],
    "half a jpeg": encoded("JPEG")[:300],
    "half a gif": encoded("GIF")[:400],
    "half a webp": encoded("WEBP")[:100],
    "half a tiff": encoded("TIFF")[:300],
    "half a bmp": encoded("BMP")[:300],
    "tiff offsets": b"II*\0" + struct.pack("<I", 2**31),
    "fits": b"SIMPLE  =                    T".ljust(2880),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("embedded", [True, False])
def test_what_is_no_image_is_an_error_of_one_line(tmp_path, name, embedded):
    path = tmp_path / "x.png"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(UnreadableImage) as caught:
        decode(HOSTILE[name] if embedded else str(path))
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)


def test_postscript_does_not_reach_ghostscript(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: pytest.fail("run"))
    for start in (b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, 200) + bytes(18)):
        with pytest.raises(UnreadableImage):
            decode(start + b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="of POSIX")
def test_pipes_devices_sockets_and_folders_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "random.png").symlink_to("/dev/urandom")
    (tmp_path / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as door:
        here = os.getcwd()
        os.chdir(tmp_path)  # the name of a socket is short
        try:
            door.bind("socket.png")
        finally:
            os.chdir(here)
        for name in ("fifo", "zero", "random", "folder", "socket"):
            with pytest.raises(UnreadableImage, match=r"regular|folder"):
                decode(str(tmp_path / f"{name}.png"))
    with pytest.raises(FileNotFoundError):
        decode(str(tmp_path / "none.png"))


def test_a_file_without_an_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "MOST_BYTES", 100)
    (tmp_path / "x.png").write_bytes(encoded("PNG"))
    with pytest.raises(UnreadableImage, match="more than 100 are not read"):
        decode(str(tmp_path / "x.png"))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_a_moving_image_the_first_frame_is_read(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 0, 250))]
    data = encoded(
        kind, frames[0], save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
    )
    image = decode(data)
    assert to_bytes(to_channels(image, 3))[:, 4, 4].tolist() == [250, 0, 0]
    assert decode(image) is image  # it needs its file no more


def test_profiles_and_chunks_that_are_damaged_do_not_harm_sound_pixels():
    for data in (
        encoded("JPEG", icc_profile=b"no profile"),
        encoded("PNG", icc_profile=b"no profile"),
        with_chunk(chunk(b"iCCP", b"k\0\0not zlib")),
        with_chunk(chunk(b"tEXt", b"\xff" * 50)),
        with_chunk(chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff")),
        encoded("JPEG") + b"rest of something",
    ):
        assert decode(data).size == (32, 32)


def test_a_key_of_transparency_in_a_palette_lies_on_white():
    info = PngImagePlugin.PngInfo()
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    seen = decode(encoded("PNG", image, pnginfo=info, transparency=b"\xff\x00"))
    assert to_bytes(to_channels(seen, 3)).min() == 255


def test_rows_keep_the_numbers_of_the_data_that_they_come_from(tmp_path):
    dataset = table(tmp_path, [Image.new("L", (8, 8), 10 * i) for i in range(10)], "png")
    (tmp_path / "7.png").write_bytes(b"broken")
    part = select(select(dataset, range(4, 10)), [1, 3, 5])
    assert numbers(part).tolist() == [5, 7, 9]
    with pytest.raises(HubtlError, match=r"row 7 \(7.png\)"):
        image_set(part).check()
    assert image_set(part, on_bad_sample="skip").bad == ["row 7: 7.png"]
    assert numbers(part.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))).tolist() == [
        5,
        7,
        9,
    ]


def test_a_large_set_is_checked_without_being_kept(tmp_path):
    dataset = table(tmp_path, [Image.new("RGB", (64, 64)) for _ in range(3)], "jpg")
    whole = (tmp_path / "2.jpg").read_bytes()
    images = image_set(dataset, cache_bytes=0)
    images.check()
    (tmp_path / "2.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HubtlError, match="row 2"):
        images.check()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of two classes of floats from 0 to 1. One is dark and one bright; eight bits would call both black."""
    import hubtl

    folder = tmp_path_factory.mktemp("floats")
    rng = np.random.default_rng(0)
    for name, level in (("dark", 0.15), ("bright", 0.8)):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(10):
            wide("F", level + 0.1 * rng.random((16, 16))).save(folder / "data" / name / f"{number}.tif")
    record = hubtl.adapt(
        model="lenet", pretrained=False, image_size=32, target_dataset=str(folder / "data"), strategy="finetune",
        steps=25, batch_size=8, output_dir=str(folder / "run"), device="cpu", options={"run.plots": False},
    ).record  # fmt: skip
    return folder, record


def test_floats_are_learnt_predicted_and_measured_by_the_same_range(trained, caplog):
    import hubtl
    from hubtl.studies.evaluate import measure

    folder, record = trained
    assert record.target.pixels == {"floats": [0, 1]}
    assert any("floats from 0 to 1" in note for note in record.model.notes)
    assert record.adapted.accuracy == 1
    assert measure(str(folder / "run"), str(folder / "data")).accuracy == 1
    model = hubtl.load(folder / "run", device="cpu")
    assert model.backbone.ranges == PixelRanges(floats=(0, 1))
    flat = wide("F", np.full((16, 16), 0.2))  # alone, it would have no range at all
    assert [model.predict(image)[0].label for image in (flat, str(folder / "data" / "bright" / "1.tif"))] == [
        "dark",
        "bright",
    ]
    with pytest.raises(HubtlError, match="not finite"):
        model.predict(wide("F", np.full((16, 16), np.nan)))


def test_a_range_that_the_model_does_not_know_is_that_of_all_inputs(trained, tmp_path, caplog):
    import hubtl

    model = hubtl.load(trained[0] / "run", device="cpu")
    for number, level in enumerate((600, 3500)):
        wide("I;16", level + RAMP * 300).save(tmp_path / f"{number}.png")
    with caplog.at_level("INFO"):
        assert [p.label for p in model.predict(tmp_path)] == ["dark", "bright"]
    assert "integers from 0 to 4095 in 2 images" in caplog.text


def test_files_on_the_command_line_have_one_range_and_those_left_out_are_counted(trained, tmp_path, caplog):
    import json

    import typer
    from typer.testing import CliRunner

    from hubtl.cli.predict import predict

    app = typer.Typer()
    app.command()(predict)
    for number, level in enumerate((600, 3500)):
        wide("I;16", level + np.zeros((8, 8))).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"%!PS")
    files = [str(tmp_path / f"{number}.png") for number in range(3)]
    words = [str(trained[0] / "run"), *files, "--on-bad-sample", "skip", "--json"]
    done = CliRunner().invoke(app, words)
    assert [row["label"] for row in json.loads(done.stdout)["predictions"]] == ["dark", "bright"]
    assert "1 inputs are left out" in done.stderr


def tiff(pixels: np.ndarray, kind: int) -> bytes:
    """A bare TIFF of integers (1 unsigned, 2 signed); of three channels where the last axis has three."""
    n, bits, data = pixels.shape[2] if pixels.ndim == 3 else 1, pixels.dtype.itemsize * 8, pixels.tobytes()
    tags = [(256, pixels.shape[1]), (257, pixels.shape[0]), (258, bits), (259, 1), (262, 2 if n == 3 else 1), (273, 0)]
    tags += [(277, n), (278, pixels.shape[0]), (279, len(data)), (339, kind)]
    end = 8 + 2 + 12 * len(tags) + 4
    entries = extra = b""
    for tag, value in tags:
        several = tag in (258, 339) and n > 1
        place = end + len(extra) if several else end + (4 * n if n > 1 else 0) if tag == 273 else value
        extra += struct.pack(f"<{n}H", *[value] * n) if several else b""
        entries += struct.pack("<HHII", tag, 3 if several else 4, n if several else 1, place)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + extra + data


@pytest.mark.parametrize(("top", "said"), [(3000, True), (60000, False)])
@pytest.mark.parametrize("suffix", ["tif", "ppm"])
def test_colours_of_sixteen_bits_in_other_formats(tmp_path, caplog, suffix, top, said):
    pixels = np.repeat((RAMP * top).astype(np.uint16)[..., None], 3, axis=2)
    for number in range(3):
        encoded = tiff(pixels, 1) if suffix == "tif" else b"P6 8 8 65535\n" + pixels.astype(">u2").tobytes()
        (tmp_path / f"{number}.{suffix}").write_bytes(encoded)
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    ranges(datasets.Dataset.from_dict({"image": paths}).cast_column("image", datasets.Image()))
    assert ("the 3 colour images of 16 bits fill less than a sixteenth" in caplog.text) is said


@pytest.mark.parametrize(
    ("pixels", "kind", "problem"),
    [
        ((RAMP * 200 - 100).astype(np.int8), 2, "signed integers of 8 bits"),
        ((RAMP * (2**32 - 1)).astype(np.uint32), 1, "integers above 2,147,483,647"),
        ((RAMP * (2**31 - 1)).astype(np.uint32), 1, None),
        ((RAMP * 2000 - 1000).astype(np.int32), 2, None),
        ((RAMP * 2000 - 1000).astype(np.int16), 2, None),
        ((RAMP * 255).astype(np.uint8), 1, None),
    ],
)
def test_integers_that_would_be_taken_for_others_are_refused(pixels, kind, problem):
    if problem is None:
        assert (np.asarray(decode(tiff(pixels, kind))).astype(np.int64) == pixels).all()
    else:
        with pytest.raises(UnreadableImage, match=problem):
            decode(tiff(pixels, kind))


def test_images_of_another_scale_than_the_others_are_said(tmp_path, caplog):
    dark = [Image.new("F", (4, 4), 0.0), *(wide("F", RAMP) for _ in range(2))]  # of one value, and from 0 to 1
    ranges(table(tmp_path, [*dark, wide("F", RAMP * 255)]))
    assert "2 of 4 images fill no more than one grey of that: are they of another scale?" in caplog.text
