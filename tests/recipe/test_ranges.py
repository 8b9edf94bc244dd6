"""The search space: ranges from options' bounds, ranges by hand, and the mistakes that can be made in them."""

import pytest

from hubtl.errors import HubtlError
from hubtl.recipe.ranges import Axis, derived, pairs, written
from hubtl.recipe.reading import parse


def recipe(strategy="mcc", **options):
    raw = {"model": "lenet", "source": "a", "target": "b", "optim": {"lr": 0.01}}
    return parse({**raw, "strategy": {"name": strategy, "options": options}})


def axes(strategy="mcc", **options):
    return {axis.key: axis for axis in derived(recipe(strategy, **options))}


def test_rates_are_searched_around_the_recipes_on_a_logarithmic_scale():
    found = axes()
    assert found["optim.lr"].low == pytest.approx(0.01 / 30)
    assert found["optim.lr"].high == pytest.approx(0.3)
    assert found["optim.lr"].log
    assert found["optim.weight_decay"] == Axis("optim.weight_decay", 1e-5, 1e-1, log=True)


def test_an_option_without_an_upper_bound_is_searched_around_its_value():
    assert axes()["weight"] == Axis("weight", 0.1, 10.0, log=True)
    assert axes(weight=3.0)["weight"].high == 30.0


def test_two_bounds_are_the_range_and_one_that_is_not_allowed_is_kept_off():
    assert axes("fixmatch")["threshold"] == Axis("threshold", 0.05, 1.0)
    share = axes("shot")["source_share"]
    assert (share.low, share.high) == pytest.approx((0.05, 0.95))


def test_whole_numbers_stay_whole_and_what_is_off_or_a_switch_stays_so():
    found = axes("dann")
    assert found["critic_width"] == Axis("critic_width", 512, 2048, log=True, whole=True)
    assert "critic_batchnorm" not in found
    shot = axes("shot")
    assert "min_count" not in shot
    assert shot["rounds"] == Axis("rounds", 1, 4, whole=True)


def test_ranges_by_hand():
    found = written(pairs(["optim.lr=1e-4:1e-1:log", "weight=0:2", "strategy.temperature=1:4"]), recipe())
    assert found[0] == Axis("optim.lr", 1e-4, 1e-1, log=True)
    assert found[1:] == [Axis("weight", 0.0, 2.0), Axis("temperature", 1.0, 4.0)]
    assert written(pairs([], {"optim.warmup_steps": "0:10"}), recipe())[0].whole
    assert pairs(["weight=1:2"], {"weight": "3:4"}) == [("weight", "1:2")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optim.lr", "takes KEY=LOW:HIGH"),
        ("optim.lr=1", "is no range"),
        ("optim.lr=a:b", "is no range"),
        ("optim.lr=1:1e-3", "1 is not below 0.001"),
        ("optim.lr=nan:1", "not below"),
        ("optim.lr=0:1:log", "does not begin at 0"),
        ("optim.lr=1e-3:1:linear", "neither a number nor log"),
        ("optim.lr=-1:1", "-1 is not allowed"),
        ("optim.momentum=0:1.5", "1.5 is not allowed"),
        ("weight=-1:1", "greater than or equal to 0"),
        ("wieght=0:1", "this is none"),
        ("optim.name=0:1", "this is none"),
        ("optim.warmup_steps=0.5:3", "takes whole numbers"),
    ],
)
def test_a_range_that_cannot_be_searched_is_an_error_that_names_it(text, message):
    with pytest.raises(HubtlError, match=message) as caught:
        written(pairs([text]), recipe())
    assert caught.value.hint
    if text.startswith("wieght"):
        assert caught.value.hint == "weight"
