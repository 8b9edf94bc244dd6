"""transformers' image processors: hubtl shows the model what they would, or exports one that shows what hubtl did."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch import nn

import hubtl
from hubtl import backbones
from hubtl.backbones import processors
from hubtl.backbones.base import BackboneRequest, ImageInput
from hubtl.backbones.views import evaluation_view, to_bytes
from hubtl.models import saved as api
from tests.backbones.test_loading import CLASSES, tiny

COLOUR = SimpleNamespace(num_channels=3)
AS_THEY_ARE = {  # with the options of the families' checkpoints on the Hub
    "Beit": {},
    "Bit": {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}},
    "CLIP": {},
    "ConvNext": {"size": {"shortest_edge": 224}},
    "DeiT": {},
    "EfficientNet": {},
    "Levit": {},
    "MobileNetV2": {},
    "MobileViT": {"size": {"shortest_edge": 288}},
    "PoolFormer": {},
    "Siglip": {},
    "ViT": {},
}


def noise(width, height, channels=3):
    values = np.random.default_rng(width).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(values.squeeze())


def ours(image, prepared):
    spec = prepared.spec
    pixels = torch.from_numpy(to_bytes(evaluation_view(image, spec))).float() / 255
    pixels = (pixels - torch.tensor(spec.mean).view(-1, 1, 1)) / torch.tensor(spec.std).view(-1, 1, 1)
    return pixels.flip(0) if prepared.blue_first else pixels


def made_by(name, **options):
    return getattr(transformers, f"{name}ImageProcessorPil")(**options)


@pytest.mark.parametrize("asked", [None, 31])
@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_hubtl_makes_the_pixels_that_the_processor_makes(name, asked):
    prepared = processors.prepare(made_by(name, **AS_THEY_ARE[name]), COLOUR, asked)
    assert prepared.note is None
    assert prepared.spec.size == (asked or prepared.spec.size)
    for image in (noise(301, 250), noise(250, 303), noise(28, 64), noise(224, 224)):
        theirs = prepared.processor(image, return_tensors="pt")["pixel_values"][0]
        assert torch.allclose(ours(image, prepared), theirs, atol=1e-4), image.size


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("ConvNext", {}, {"size": 384, "crop_mode": "squash", "crop_pct": 1.0}),
        ("ConvNext", {"size": {"shortest_edge": 224}}, {"size": 224, "crop_mode": "floor", "crop_pct": 0.875}),
        ("DeiT", {}, {"size": 224, "crop_mode": "squash", "crop_pct": 0.875}),
        ("Levit", {}, {"size": 224, "crop_mode": "floor", "crop_pct": 0.875}),
        ("EfficientNet", {}, {"size": 346, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}),  # divides by it twice
        ("ViT", {"do_rescale": False, "do_normalize": False}, {"mean": (0.0, 0.0, 0.0)}),
        ("ViT", {"do_normalize": False}, {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}),
    ],
)
def test_what_a_processor_does_in_words(name, options, said):
    spec = processors.prepare(made_by(name, **options), COLOUR).spec
    assert {key: getattr(spec, key) for key in said} == said


def test_the_middle_of_an_odd_rest_is_torchvisions_or_transformers():
    image = noise(7, 4)
    crops = {mode: evaluation_view(image, ImageInput(size=4, crop_mode=mode)) for mode in ("center", "floor")}
    columns = np.asarray(image)
    assert np.array_equal(np.asarray(crops["center"]), columns[:, 2:6])
    assert np.array_equal(np.asarray(crops["floor"]), columns[:, 1:5])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Perceiver", {}),  # crops before it resizes
        ("TextNet", {}),  # leaves images as wide as they are
        ("MobileViT", {"size": {"shortest_edge": 224}}),  # puts a border around
    ],
)
def test_where_hubtl_cannot_follow_a_plain_processor_ships(name, options, tmp_path):
    prepared = processors.prepare(made_by(name, **options), COLOUR)
    assert f"{name}ImageProcessor" in prepared.note
    processors.write(prepared.processor, tmp_path)
    shipped = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    for image in (noise(301, 250), noise(250, 303), noise(64, 28)):
        theirs = shipped(image, return_tensors="pt")["pixel_values"][0]
        assert torch.allclose(ours(image, prepared), theirs, atol=1e-4), image.size


def test_a_grey_model_gets_a_grey_processor():
    prepared = processors.prepare(made_by("ViT"), SimpleNamespace(num_channels=1), 32)  # a mean for three channels
    assert prepared.spec.mean == (0.5,)
    image = noise(40, 33, 1)
    theirs = prepared.processor(image, return_tensors="pt")["pixel_values"][0]
    assert theirs.shape == (1, 32, 32)
    assert torch.allclose(ours(image, prepared), theirs, atol=1e-4)


def test_the_saved_processor_has_the_name_that_every_version_knows(tmp_path):
    processors.write(made_by("ViT", size={"height": 24, "width": 24}), tmp_path)
    written = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert written["image_processor_type"] == "ViTImageProcessor"
    assert transformers.AutoImageProcessor.from_pretrained(tmp_path).size["height"] == 24


def test_a_model_whose_images_are_blue_first_sees_them_so(tmp_path):
    """Red and blue are kept through the library and through hubtl. They are compared before saving and after."""
    tiny("vit").save_pretrained(tmp_path / "base")
    made_by("MobileViT", size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}).save_pretrained(
        tmp_path / "base"
    )
    built = backbones.resolve(str(tmp_path / "base"), BackboneRequest(CLASSES)).eval()
    head = nn.Linear(built.info.width, len(CLASSES))
    live = api.AdaptedModel(hubtl.modules.Classifier(hubtl.modules.Encoder(built), head), built.info, CLASSES)
    api.save(tmp_path / "run", built, head, CLASSES, {})
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "run", backend="pil")
    model = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "run").eval()
    images = [Image.new("RGB", (40, 50), hue) for hue in ("red", "blue")] + [noise(41, 50)]
    with torch.no_grad():
        theirs = torch.cat([model(**processor(image, return_tensors="pt")).logits for image in images])
    assert (theirs[0] - theirs[1]).abs().max() > 0.01
    assert torch.allclose(live.logits(images), theirs, atol=1e-5)
    assert torch.allclose(hubtl.load(tmp_path / "run").logits(images), theirs, atol=1e-5)
