"""Weak and strong views: a function of seed, row and place; mild and strong; without flips where a flip is a lie."""

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from hubtl.backbones.base import ImageInput
from hubtl.batch import OF_TARGET
from hubtl.data.joint import JointSet
from hubtl.data.sealed import sealed
from hubtl.data.streams import StepBatches
from hubtl.errors import HubtlError
from hubtl.modalities.image import rows as images_
from hubtl.modalities.image.rows import ImageSet
from hubtl.modalities.image.transforms import OPERATIONS, RandomViews, changed, strong_view, training_view, weak_view
from hubtl.recipe.augmentation import randaugment
from hubtl.recipe.schema import DataSection

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
    """A set of rows whose ``fetch`` ignores views and makes all."""

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


def test_a_random_crop_decodes_an_image_once_and_again_where_there_is_no_room(monkeypatch):
    counts = []
    decode = images_.decode
    monkeypatch.setattr(images_, "decode", lambda *a, **k: counts.append(1) or decode(*a, **k))
    kept = image_set(GREY, augment=True)
    monkeypatch.setattr(images_, "KEPT_BYTES", 2 * 28 * 28)
    short = image_set(GREY, augment=True)
    counts.clear()
    found = [kept.fetch([4, 1, 6], seed=seed) for seed in range(3)]
    assert len(counts) == 3
    again = [short.fetch([4, 1, 6], seed=seed) for seed in range(3)]
    assert len(counts) == 3 + 2 + 3 * 2, (
        "two rows have room; a third is decoded for the crop and for the views of each batch"
    )
    for one, other in zip(found, again, strict=True):
        assert torch.equal(one.inputs["image"], other.inputs["image"])
        assert torch.equal(one.views["strong"]["image"], other.views["strong"]["image"])


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
        made = changed(image, operation, 0.9, sign)
        assert (made.size, made.mode) == (image.size, image.mode)
        if not (operation == "colour" and spec.channels == 1):
            assert not np.array_equal(np.asarray(made), np.asarray(image))


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


RAMP = Image.fromarray(np.tile(np.linspace(0, 255, 96, dtype=np.uint8), (96, 1))).convert("RGB")


def widths(how, spec=LARGE, view=training_view):
    """How much of the ramp a view shows, and whether it rises; many views."""
    seen = [
        np.asarray(view(RAMP, spec, np.random.default_rng(seed), how), dtype=float)[..., 0].mean(0)
        for seed in range(60)
    ]
    return np.array([abs(row[-1] - row[0]) / 255 for row in seen]), np.array([row[-1] > row[0] for row in seen])


def test_crops_have_the_area_ratio_and_flips_that_are_asked_for():
    shown, rising = widths(RandomViews(area=(0.25, 0.25), ratio=(1.0, 1.0), flip=0.0))
    assert shown == pytest.approx(np.full(60, 0.5), abs=0.03)
    assert rising.all()
    shown, rising = widths(RandomViews(area=(0.25, 0.25), ratio=(4.0, 4.0), flip=1.0))
    assert shown == pytest.approx(np.full(60, 1.0), abs=0.03)
    assert not rising.any()
    usual, _ = widths(RandomViews())
    assert usual.min() < 0.45


def test_weak_views_are_crops_of_half_unless_the_training_views_are_milder():
    assert RandomViews().weak_area == (0.5, 1.0)
    assert RandomViews(area=(0.8, 0.9)).weak_area == (0.8, 0.9)
    assert RandomViews(area=(0.1, 0.3)).weak_area == (0.3, 0.3)
    shown, _ = widths(RandomViews(area=(1.0, 1.0), ratio=(1.0, 1.0)), view=weak_view)
    assert shown == pytest.approx(np.full(60, 1.0), abs=0.03)


def test_interpolation_is_that_of_the_views_alone():
    image = picture(3, LARGE)
    nearest, own = (
        training_view(image, LARGE, np.random.default_rng(0), RandomViews(interpolation=i)) for i in ("nearest", None)
    )
    usual = training_view(image, LARGE, np.random.default_rng(0), RandomViews(interpolation=LARGE.interpolation))
    assert np.array_equal(np.asarray(own), np.asarray(usual))
    assert not np.array_equal(np.asarray(own), np.asarray(nearest))
    sets = [image_set(LARGE, random=RandomViews(interpolation=i)) for i in ("nearest", None)]
    assert torch.equal(*(s.fetch([0, 1]).inputs["image"] for s in sets))


def test_strong_views_are_what_the_recipe_says():
    weak = weak_view(RAMP, LARGE, np.random.default_rng(5))
    for how in (RandomViews(strong=randaugment("none")), RandomViews(strong=randaugment("rand-p0"))):
        assert np.array_equal(np.asarray(strong_view(RAMP, LARGE, np.random.default_rng(5), how)), np.asarray(weak))
    inverted = RandomViews(strong=randaugment("rand-n1-p1"), operations=("invert",))
    made = strong_view(RAMP, LARGE, np.random.default_rng(5), inverted)
    assert np.array_equal(np.asarray(made), 255 - np.asarray(weak))


def test_rows_that_are_fetched_know_how_views_are_made():
    """The whole way, from the recipe's section to a batch."""
    data = DataSection(crop_area=1, crop_ratio=[1, 1], flip=0, views="rand-n1-p1", view_operations=["invert"])
    images = image_set(LARGE, augment=True, random=RandomViews.of(data))
    batch, plain = images.fetch([2], seed=1), image_set(LARGE).fetch([2])
    assert torch.allclose(batch.inputs["image"], plain.inputs["image"])
    mean, std = torch.tensor(LARGE.mean).view(3, 1, 1), torch.tensor(LARGE.std).view(3, 1, 1)
    pixels, strong = (
        255 * (b * std + mean) for b in (plain.inputs["image"][0], batch.view("strong").inputs["image"][0])
    )
    assert torch.allclose(255 - pixels, strong, atol=0.01)
