"""Views: what timm would show the model, the same random crops for the same seed, and images of every mode."""

import pickle

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from hubtl.backbones.base import ImageInput
from hubtl.backbones.views import evaluation_view, to_bytes
from hubtl.errors import HubtlError
from hubtl.modalities.image.rows import ImageSet
from hubtl.modalities.image.transforms import to_channels


def picture(seed=0, width=50, height=38) -> Image.Image:
    smooth = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(smooth).resize((width, height), Image.Resampling.BICUBIC)


def rows(images, labels=None) -> datasets.Dataset:
    labels = [0] * len(images) if labels is None else labels
    made = {"image": images, "label": labels}
    return datasets.Dataset.from_dict(
        made, features=datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    )


def image_set(images, spec=None, *, augment=False, labels=None, **options) -> ImageSet:
    spec = spec or ImageInput(size=16)
    return ImageSet(rows(images), "image", labels=labels, spec=spec, augment=augment, name="test", **options)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("size", "crop_pct", "mode"),
    [(32, 0.875, "center"), (32, 1.0, "center"), (24, 0.95, "squash"), (64, 1.0, "center")],
)
@pytest.mark.parametrize("shape", [(50, 38), (30, 60), (28, 28), (8, 8)])
def test_the_evaluation_view_is_timms(interpolation, size, crop_pct, mode, shape):
    from timm.data import create_transform

    spec = ImageInput(size=size, interpolation=interpolation, crop_pct=crop_pct, crop_mode=mode)
    theirs = create_transform(
        input_size=(3, size, size),
        interpolation=interpolation,
        mean=spec.mean,
        std=spec.std,
        crop_pct=crop_pct,
        crop_mode=mode,
    )
    image = picture(1, *shape)
    ours = image_set([image], spec).fetch([0]).inputs["image"][0]
    assert torch.allclose(ours, theirs(image), atol=0.02)


def test_cached_and_decoded_rows_are_equal():
    images = [picture(i) for i in range(6)]
    cached, decoded = image_set(images), image_set(images, cache_bytes=0)
    assert cached.cached
    assert not decoded.cached
    assert torch.equal(cached.fetch([4, 1]).inputs["image"], decoded.fetch([4, 1]).inputs["image"])


def test_random_views_depend_on_the_seed_alone():
    images = image_set([picture(i) for i in range(4)], augment=True)
    state = (torch.get_rng_state(), np.random.get_state()[1].copy())
    one = images.fetch([0, 1], seed=7).inputs["image"]
    np.random.rand(3)
    same, other = images.fetch([0, 1], seed=7).inputs["image"], images.fetch([0, 1], seed=8).inputs["image"]
    copy = pickle.loads(pickle.dumps(images)).fetch([0, 1], seed=7).inputs["image"]
    assert torch.equal(one, same)
    assert torch.equal(one, copy)
    assert not torch.equal(one, other)
    assert torch.equal(state[0], torch.get_rng_state())


def test_a_sealed_set_holds_no_labels():
    sealed = image_set([picture(0), picture(1)])
    assert sealed.fetch([0, 1]).labels is None
    assert b"label" not in pickle.dumps(sealed._encoded.features)
    open_ = image_set([picture(0), picture(1)], labels=np.array([3, 5]))
    assert open_.fetch([1, 0]).labels.tolist() == [5, 3]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_what_the_model_wants(mode, channels):
    image = Image.new("I;16", (9, 9), 40000) if mode == "I;16" else picture().convert("RGB").convert(mode)
    made = to_bytes(to_channels(image, channels))
    assert made.dtype == np.uint8
    assert made.shape[0] == channels
    if mode == "I;16":
        assert abs(int(made.mean()) - 155) <= 1


def test_transparency_lies_on_white():
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert to_bytes(to_channels(clear, 3)).min() == 255


def test_a_changed_number_of_channels_is_said():
    grey = image_set([picture().convert("L")])
    assert grey.note is not None
    assert "three channels" in grey.note
    colour = image_set([picture()], ImageInput(size=16, channels=1, mean=(0.5,), std=(0.5,)))
    assert "one channel" in (colour.note or "")
    assert image_set([picture()]).note is None


def test_an_unreadable_image_is_named_or_skipped(tmp_path):
    paths = []
    for i in range(4):
        paths.append(str(tmp_path / f"{i}.png"))
        picture(i).save(paths[-1])
    (tmp_path / "2.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    table = datasets.Dataset.from_dict({"image": paths}).cast_column("image", datasets.Image())
    spec = ImageInput(size=16)
    labels = np.array([0, 1, 2, 3])
    strict = ImageSet(table, "image", labels=labels, spec=spec, augment=False, name="shop/train")
    with pytest.raises(HubtlError, match=r"shop/train: cannot read the image of row 2 \(2\.png\)"):
        strict.fetch([0])
    lenient = ImageSet(table, "image", labels=labels, spec=spec, augment=False, name="x", on_bad_sample="skip")
    assert len(lenient) == 3
    assert lenient.fetch([2]).labels.tolist() == [3]
    assert lenient.bad == ["row 2: 2.png"]


def test_exif_orientation_is_honoured(tmp_path):
    image = picture(0, 40, 20)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    from hubtl.modalities.image.decoding import decode

    assert decode(str(tmp_path / "turned.jpg")).size == (20, 40)


def test_small_images_are_padded_not_stretched():
    view = evaluation_view(picture(0, 64, 8), ImageInput(size=8, crop_pct=1.0))
    assert view.size == (8, 8)
