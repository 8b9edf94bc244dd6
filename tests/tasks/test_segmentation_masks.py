"""Masks in all forms are read as the same classes; what cannot be read is one error with its row and file."""

import io
import json

import numpy as np
import pytest
from datasets import Dataset, Features, Image
from PIL import Image as Pillow

from hubtl.data.sites import IGNORE
from hubtl.errors import HubtlError
from hubtl.tasks.segmentation import Segmentation
from hubtl.tasks.segmentation.legend import Legend
from hubtl.tasks.segmentation.legend import read as read_legend

FEATURES = Features({"image": Image(), "mask": Image()})
VALUES = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
COLOURS = np.array([[0, 0, 0], [128, 64, 128], [70, 70, 70]], np.uint8)


def encoded(image, kind="PNG", **how):
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return {"bytes": stream.getvalue(), "path": None}


def table(cells, size=(3, 2)):
    return Dataset.from_dict({"image": [Pillow.new("RGB", size)] * len(cells), "mask": cells}, features=FEATURES)


def read(*cells, size=(3, 2), **options):
    task = Segmentation((), Segmentation.Options(**options))
    return task.read([table(list(cells), size)], ["mask"], "the source", ["train"], None)


def palette_image(values):
    image = Pillow.fromarray(values, mode="P")
    image.putpalette([*COLOURS.flatten().tolist(), *[9] * 3 * 253])
    return image


@pytest.mark.parametrize(
    "cell",
    [
        encoded(palette_image(VALUES)),
        encoded(palette_image(VALUES), "GIF"),
        encoded(palette_image(VALUES), bits=2),
        encoded(Pillow.fromarray(VALUES)),
        encoded(Pillow.fromarray(VALUES.astype(np.uint16))),
        encoded(Pillow.fromarray(VALUES.astype(np.int32)), "TIFF"),
        encoded(Pillow.fromarray(np.stack([VALUES] * 3, axis=-1))),
        encoded(Pillow.fromarray(VALUES).convert("LA")),
    ],
    ids=["palette", "gif", "palette of 2 bits", "grey", "16 bit", "32 bit", "grey as RGB", "grey with alpha"],
)
def test_a_mask_is_read_by_its_numbers_in_any_format(cell):
    labels = read(cell)
    assert labels.values[0].tolist() == [VALUES.tolist()]
    assert labels.outputs.names == ["0", "1", "2"]


def test_grey_pngs_of_few_bits_keep_their_values():
    """Pillow scales them up to 255, and writes none itself."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"\x00" + bytes([0b00011000]) + b"\x00" + bytes([0b10010000])  # 2 bits a pixel, a filter byte a row
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 2, 0, 0, 0, 0))
    png += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert read({"bytes": png, "path": None}).values[0].tolist() == [VALUES.tolist()]


def test_binary_masks_are_recognised_and_said():
    for values, said in ((VALUES % 2, "masks of 0 and 1"), (VALUES % 2 * 255, "masks of 0 and 255")):
        labels = read(encoded(Pillow.fromarray(values)))
        assert labels.values[0].tolist() == [(VALUES % 2).tolist()]
        assert said in labels.notes[0]
    bits = Pillow.fromarray(VALUES % 2 * 255).convert("1")
    alone = read(encoded(bits))
    assert alone.values[0].tolist() == [(VALUES % 2).tolist()]
    both = read(encoded(bits), encoded(Pillow.fromarray(VALUES % 2 * 255)))
    assert both.values[0][0].tolist() == both.values[0][1].tolist() == (VALUES % 2).tolist()
    named = read(encoded(bits), names="wall,door")
    assert (named.outputs.names, named.values[0].tolist()) == (["wall", "door"], [(VALUES % 2).tolist()])


def test_255_stays_none_where_there_are_more_than_two_classes():
    labels = read(encoded(Pillow.fromarray(np.array([[0, 255, 0], [0, 0, 0]], np.uint8))), names="a,b,c")
    assert labels.values[0][0].tolist() == [[0, IGNORE, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("palette.json", json.dumps({"sky": [0, 0, 0], "road": [128, 64, 128], "wall": [70, 70, 70]})),
        ("palette.txt", "0 0 0 sky\n128 64 128\troad\n70, 70, 70, wall\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nsky:0,0,0::\nroad:128,64,128::\nwall:70,70,70::\n"),
        ("class_dict.csv", "name,r,g,b\nsky,0,0,0\nroad,128,64,128\nwall,70,70,70\n"),
    ],
)
def test_colours_are_classes_by_a_palette(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    cell = encoded(Pillow.fromarray(COLOURS[VALUES]))
    labels = read(cell, palette=str(tmp_path / name))
    assert labels.outputs.names == ["sky", "road", "wall"]
    assert labels.values[0].tolist() == [VALUES.tolist()]
    indexed = read(encoded(palette_image(VALUES)), palette=str(tmp_path / name))
    assert indexed.values[0].tolist() == [VALUES.tolist()]


def test_an_entry_void_of_a_palette_means_no_class(tmp_path):
    (tmp_path / "p.txt").write_text("0 0 0 Void\n128 64 128 road\n70 70 70 wall\n", encoding="utf-8")
    labels = read(encoded(Pillow.fromarray(COLOURS[VALUES])), palette=str(tmp_path / "p.txt"))
    assert labels.outputs.names == ["road", "wall"]
    assert labels.values[0].tolist() == [[[IGNORE, 0, 1], [1, 0, IGNORE]]]
    indexed = read(encoded(palette_image(VALUES)), palette=str(tmp_path / "p.txt"))
    assert indexed.values[0].tolist() == labels.values[0].tolist()


def test_colours_without_a_palette_and_unknown_ones_are_one_error(tmp_path):
    colour = encoded(Pillow.fromarray(COLOURS[VALUES]))
    with pytest.raises(HubtlError, match="column 'mask', row 1: the mask has colours") as met:
        read(encoded(Pillow.fromarray(VALUES)), colour)
    assert "task.palette=FILE" in met.value.hint
    (tmp_path / "p.txt").write_text("0 0 0 sky\n128 64 128 road\n", encoding="utf-8")
    with pytest.raises(HubtlError, match=r"row 0: the mask has the colour 70 70 70, which p.txt does not name"):
        read(colour, palette=str(tmp_path / "p.txt"))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.json", '{"a": [1, 2]}', "another form"),
        ("p.json", "[", "no JSON"),
        ("p.json", "[]", "names no class"),
        ("p.txt", "0 0 0 a\n0 0 0 b\n", "has the colour 0 0 0 twice"),
        ("p.txt", "0 0 0 a\n1 1 1 a\n", "names 'a' twice"),
        ("p.txt", "0 0 0 a\nb\n", "'b' has no colour"),
        ("p.txt", "0 0 0 a\n300 0 0 b\n", "300 0 0 is no colour"),
    ],
)
def test_a_damaged_palette_is_one_error(tmp_path, name, text, said):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(HubtlError, match=said):
        read_legend(tmp_path / name)


def test_names_in_json_are_a_list_or_numbered(tmp_path):
    for text in ('["a", "b"]', '{"0": "a", "1": "b"}', '{"b": 1, "a": 0}'):
        (tmp_path / "classes.json").write_text(text, encoding="utf-8")
        assert read_legend(tmp_path / "classes.json") == Legend(("a", "b"), "classes.json")


def test_a_mask_of_another_shape_than_its_image_is_one_error():
    small = read(encoded(Pillow.fromarray(VALUES)), size=(600, 400))
    assert small.values[0].shape == (1, 2, 3)
    with pytest.raises(HubtlError, match="row 0: the mask has 30 × 20 pixels, and its image 300 × 300"):
        read(encoded(Pillow.fromarray(VALUES.repeat(10, 0).repeat(10, 1))), size=(300, 300))


def test_a_photograph_that_lies_on_its_side_has_the_shape_of_its_upright_mask():
    exif = Pillow.Exif()
    exif[0x0112] = 6
    image = encoded(Pillow.new("RGB", (20, 30)), "JPEG", exif=exif)
    mask = encoded(Pillow.fromarray(np.zeros((20, 30), np.uint8)))
    rows = Dataset.from_dict({"image": [image], "mask": [mask]}, features=FEATURES)
    labels = Segmentation().read([rows], ["mask"], "the source", ["train"], None)
    assert labels.values[0].shape == (1, 20, 30)


def test_an_unreadable_or_missing_mask_is_one_error_and_an_empty_cell_is_unlabelled(tmp_path):
    fine = encoded(Pillow.fromarray(VALUES))
    (tmp_path / "torn.png").write_bytes(fine["bytes"][:40])
    with pytest.raises(HubtlError, match=r"row 1 \(torn.png\): the mask cannot be read"):
        read(fine, {"bytes": None, "path": str(tmp_path / "torn.png")})
    with pytest.raises(HubtlError, match=r"row 1 \(gone.png\): the mask is missing"):
        read(fine, {"bytes": None, "path": str(tmp_path / "gone.png")})
    labels = read(fine, None)
    assert (labels.values[0][1] == IGNORE).all()
    assert Segmentation().unlabelled(labels.values[0]).tolist() == [False, True]


def test_a_value_of_a_jpeg_says_why_it_is_none():
    noisy = encoded(Pillow.fromarray(np.full((2, 3), 100, np.uint8)), "JPEG")
    with pytest.raises(HubtlError, match=r"the value 100, and there are 2 classes by task\.names") as met:
        read(noisy, names="a,b")
    assert "PNG" in met.value.hint
