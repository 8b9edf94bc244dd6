"""Weak and strong views: a function of seed, row and place; mild and strong; without flips where a flip is a lie."""

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from hubtl.backbones.base import ImageInput
from hubtl.batch import OF_TARGET
from hubtl.data import images as images_
from hubtl.data.images import ImageSet
from hubtl.data.joint import JointSet
from hubtl.data.sealed import sealed
from hubtl.data.streams import StepBatches
from hubtl.data.transforms import OPERATIONS, _changed, strong_view, weak_view
from hubtl.errors import HubtlError

GREY = ImageInput(size=28, channels=1, mean=(0.5,), std=(0.5,), interpolation="bilinear")
LARGE = ImageInput(size=64)


def picture(seed, spec):
    rng = np.random.default_rng(seed)
    made = Image.fromarray(rng.integers(0, 255, (7, 7, 3), dtype=np.uint8)).resize((spec.size, spec.size))
    return made.convert("L") if spec.channels == 1 else made


def image_set(spec, n=8, views=("weak", "strong"), **options):
    table = {"image": [picture(i, spec) for i in range(n)]}
    dataset = datasets.Dataset.from_dict(table, features=datasets.Features({"image": datasets.Image()}))
    options = {"augment": False, **options}
    return ImageSet(dataset, "image", labels=None, spec=spec, name="test", views=views, **options)


@pytest.mark.parametrize("spec", [GREY, LARGE])
@pytest.mark.parametrize("augment", [False, True])
def test_views_depend_on_seed_row_and_place_alone(spec, augment):
    images = image_set(spec, augment=augment)
    state = torch.get_rng_state()
    one = images.fetch([4, 1, 6], seed=7).views
    np.random.rand(3)
    same, shorter = images.fetch([4, 1, 6], seed=7).views, images.fetch([4, 1], seed=7).views
    other = images.fetch([4, 1, 6], seed=8).views
    alone = image_set(spec, augment=augment, views=("strong",)).fetch([4, 1, 6], seed=7).views
    for name in ("weak", "strong"):
        assert torch.equal(one[name]["image"], same[name]["image"])
        assert torch.equal(one[name]["image"][:2], shorter[name]["image"])
        assert not torch.equal(one[name]["image"], other[name]["image"])
    assert torch.equal(one["strong"]["image"], alone["strong"]["image"])
    assert torch.equal(state, torch.get_rng_state())


class Unknowing:
    """A set of rows whose ``fetch`` knows nothing of views that are asked for, and makes all."""

    domains = None

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def fetch(self, rows, *, seed=None):
        return self.images.fetch(rows, seed=seed)


def test_a_phase_makes_the_views_that_it_asks_for_and_sees_no_others(monkeypatch):
    made = []
    for name in ("weak", "strong"):
        view = images_.VIEWS[name]
        monkeypatch.setitem(images_.VIEWS, name, lambda *a, name=name, view=view: made.append(name) or view(*a))
    rows = image_set(GREY)
    joint = JointSet([rows, rows], [0, OF_TARGET])
    streams = {"plain": rows, "sealed": sealed(rows, 0), "joint": joint, "unknowing": Unknowing(rows)}
    whole = StepBatches(streams, batch_size=4, seed=0)[3]
    assert set(made) == {"weak", "strong"}
    made.clear()
    asked = {"plain": ("weak",), "sealed": ("weak",), "joint": ("weak",), "unknowing": ("weak",)}
    batch = StepBatches(streams, batch_size=4, seed=0, views=asked)[3]
    assert made.count("weak") == 16
    assert made.count("strong") == 4, "what makes all views is not asked twice"
    for name in streams:
        assert set(batch[name].views) == {"weak"}
        assert torch.equal(batch[name].view("weak").inputs["image"], whole[name].view("weak").inputs["image"])
        assert torch.equal(batch[name].inputs["image"], whole[name].inputs["image"])
    made.clear()
    none = StepBatches({"plain": rows}, batch_size=4, seed=0, views={"plain": ()})[0]["plain"]
    assert (made, none.views) == ([], {})


@pytest.mark.parametrize("spec", [GREY, LARGE])
def test_views_do_not_change_the_image_itself(spec):
    viewed, plain = image_set(spec), image_set(spec, views=())
    assert torch.equal(viewed.fetch([0, 5], seed=3).inputs["image"], plain.fetch([0, 5], seed=3).inputs["image"])
    assert torch.equal(viewed.fetch([0, 5]).inputs["image"], plain.fetch([0, 5]).inputs["image"])
    assert plain.fetch([0], seed=3).views == {}
    assert viewed.fetch([0]).views == {}


def test_cached_and_decoded_small_views_are_equal():
    for spec in (GREY, ImageInput(size=24, crop_pct=0.75)):
        a = image_set(spec).fetch([2, 3], seed=1).views["strong"]["image"]
        b = image_set(spec, cache_bytes=0).fetch([2, 3], seed=1).views["strong"]["image"]
        assert torch.equal(a, b)


def test_a_small_weak_view_moves_a_dot_as_its_matrix_says_and_is_never_a_flip():
    """Dots at the middle and 8 pixels right of it, on grey: where they go tells the shift and the matrix."""
    pixels = np.full((28, 28), 40, dtype=np.uint8)
    pixels[13:15, 13:15], pixels[13:15, 21:23] = 255, 255
    image, middles, rights = Image.fromarray(pixels), [], []
    for seed in range(200):
        view = np.asarray(weak_view(image, GREY, np.random.default_rng(seed)), dtype=float)
        assert view.min() == 40  # what comes in has the background's colour
        left, right = (np.where(np.arange(28) < 18, view - 40, 0), np.where(np.arange(28) >= 18, view - 40, 0))
        for part, found in ((left, middles), (right, rights)):
            found.append([(part.sum(axis) * (np.arange(28) + 0.5)).sum() / part.sum() for axis in (0, 1)])
    middles, arms = np.array(middles) - 14, np.array(rights) - np.array(middles)
    assert np.abs(middles).max() < 3.2  # 2 pixels, and what the matrix makes of them
    assert np.abs(middles).max() > 1.5
    assert (arms[:, 0] > 0).all()
    assert arms[:, 0].mean() == pytest.approx(8.0, abs=0.4)
    assert arms.std(axis=0) == pytest.approx([0.8, 0.8], abs=0.3)  # noise of 0.1 on 8 pixels


def test_strong_views_change_more_than_weak_ones():
    images = image_set(GREY, n=32)
    batch = images.fetch(range(32), seed=0)
    image = batch.inputs["image"]
    gaps = {name: (batch.view(name).inputs["image"] - image).abs().mean() for name in ("weak", "strong")}
    assert 0 < gaps["weak"] < gaps["strong"]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("spec", [GREY, LARGE])
def test_every_operation_does_something_and_keeps_the_size(operation, spec):
    image = picture(1, spec).point(lambda v: 20 + v // 2)  # room for a stretch of the contrast
    for sign in (-1.0, 1.0):
        changed = _changed(image, operation, 0.9, sign)
        assert (changed.size, changed.mode) == (image.size, image.mode)
        if not (operation == "colour" and spec.channels == 1):
            assert not np.array_equal(np.asarray(changed), np.asarray(image))


def test_large_views_are_crops_with_flips():
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (64, 1))).convert("RGB")
    rising = []
    for seed in range(40):
        view = np.asarray(weak_view(ramp, LARGE, np.random.default_rng(seed)), dtype=float)[..., 0]
        rising.append(view[:, -8:].mean() > view[:, :8].mean())
        assert abs(view[:, -8:].mean() - view[:, :8].mean()) > 90  # at least half of the area is in it
    assert 5 < sum(rising) < 35
    assert strong_view(ramp, LARGE, np.random.default_rng(0)).size == (64, 64)


def test_an_unknown_view_is_named():
    with pytest.raises(HubtlError, match="unknown view 'week'"):
        image_set(GREY, views=("week",))
