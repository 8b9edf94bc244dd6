"""Random views in a recipe: timm's words are read, and what is no view is a mistake that says what would be."""

import pytest

from hubtl.errors import RecipeError
from hubtl.modalities.image.transforms import RandomViews
from hubtl.recipe.augmentation import OPERATIONS, RandAugment, randaugment
from hubtl.recipe.reading import merge, parse, parse_set
from hubtl.recipe.schema import STRONG_VIEWS

RAW = {"model": "lenet", "target": "builtin:digits/uci"}


def data(*pairs):
    return parse(merge(RAW, parse_set(pairs))).data


def test_timms_words_are_read():
    assert randaugment("rand-m10-n2-mstd2") == RandAugment() == randaugment("rand-m10-n2-mstd2-inc1")
    assert randaugment("rand-m9-mstd0.5-p0.3") == RandAugment(0.9, 2, 0.05, 0.3)
    assert randaugment(STRONG_VIEWS) == RandAugment()
    assert randaugment("none").changes == 0
    assert randaugment("rand") == RandAugment(1.0, 2, 0.0, 0.5)


@pytest.mark.parametrize(
    "text", ["strong", "rand-m11", "rand-n1.5", "rand-m9-m8x", "rand-p2", "rand-inc0", "rand-m9-m5"]
)
def test_other_words_are_refused(text):
    with pytest.raises(ValueError, match=r"rand|at most"):
        randaugment(text)


def test_what_is_left_out_is_the_usual_view_of_imagenet():
    how = RandomViews.of(data())
    assert how == RandomViews()
    assert (how.area, how.flip, how.strong, how.operations) == ((0.08, 1.0), 0.5, RandAugment(), OPERATIONS)


def test_flags_say_how_views_are_made():
    given = data(
        "data.crop_area=[0.3, 0.9]",
        "data.crop_ratio=[1, 1]",
        "data.interpolation=bilinear",
        "data.flip=0",
        "data.views=rand-m5-n1",
        "data.view_operations=[rotate, shear-x]",
    )
    assert RandomViews.of(given) == RandomViews(
        (0.3, 0.9), (1.0, 1.0), "bilinear", 0.0, RandAugment(0.5, 1, 0.0, 0.5), ("rotate", "shear-x")
    )
    assert data("data.crop_area=0.4").crop_area == [0.4, 1.0]


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("data.crop_area=[0.9, 0.3]", "data.crop_area.*the smaller one first"),
        ("data.crop_area=[0.5, 1, 2]", "two numbers are wanted"),
        ("data.crop_area=0", "from 0.01 to 1"),
        ("data.crop_area=true", "data.crop_area"),
        ("data.crop_ratio=0.5", "data.crop_ratio"),
        ("data.flip=2", "data.flip"),
        ("data.views=strong", "rand-m10-n2-mstd2"),
        ("data.view_operations=[rotato]", "there is no rotato .nearest: rotate"),
        ("data.interpolation=best", "data.interpolation"),
        ("data.crop_scale=0.5", "unknown key data.crop_scale"),
    ],
)
def test_mistakes_are_named(pair, said):
    with pytest.raises(RecipeError, match=said):
        data(pair)


@pytest.mark.parametrize("change", [{"data.crop_area": 5}, {"data.views": "rnd-3"}, {"hub.license": "mine"}])
def test_a_mistake_is_told_in_our_words_alone(change):
    with pytest.raises(RecipeError) as caught:
        parse(merge(RAW, change))
    assert "alue error" not in str(caught.value)
