"""One list of image suffixes: what Pillow reads here is trained on and predicted."""

import numpy as np
import pytest
from PIL import Image

from hubtl.data.folders import files_of
from hubtl.data.suffixes import kind_of
from hubtl.errors import HubtlError
from hubtl.modalities.image.decoding import decode
from hubtl.modalities.image.files import FORMATS, IMAGES
from tests.data.trees import grow, listed

WRITABLE = sorted(s for s in IMAGES if Image.registered_extensions()[s] in Image.SAVE)


def test_the_list_is_pillows_without_programs_videos_and_stubs():
    assert {".jpg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".gif", ".bmp", ".ppm", ".mpo"} <= IMAGES
    assert not {".eps", ".ps", ".pdf", ".wmf", ".emf", ".mpg", ".mpeg", ".h5", ".txt", ".csv", ".wav", ""} & IMAGES
    assert not {"EPS", "PDF", "WMF", "MPEG"} & set(FORMATS)
    assert [kind_of(name) for name in ("a.PNG", "a.WaV", "a.Parquet", "a.txt", "png", ".png")] == [
        *("image", "audio", "table", "other", "other", "other")
    ]


@pytest.mark.parametrize("suffix", WRITABLE)
def test_an_image_of_each_suffix_is_listed_and_read(tmp_path, suffix):
    pixels = np.full((32, 32), 200, np.uint8)
    kind = Image.registered_extensions()[suffix]
    grow(tmp_path, "data/dog/")
    mode = {"MSP": "1", "XBM": "1", "BLP": "P"}.get(kind, "RGB")
    image = Image.fromarray(pixels).convert("F" if suffix == ".pfm" else mode)
    place = tmp_path / "data" / "dog" / f"a{suffix.upper()}"
    try:
        image.save(place, kind)
    except (OSError, ValueError) as error:
        pytest.skip(f"{kind} is not written: {error}")
    assert listed(tmp_path / "data") == {"train": [(f"dog/a{suffix.upper()}", "dog")]}
    assert files_of(tmp_path / "data", "image") == [str(place)]
    assert decode({"bytes": place.read_bytes(), "path": str(place)}).size[0] >= 16


def test_a_folder_without_images_says_what_it_holds(tmp_path):
    with pytest.raises(HubtlError, match=r"holds no images; it holds 1 \.pdf, 1 \.wav"):
        files_of(grow(tmp_path / "data", "a.pdf", "b.wav"), "image")
