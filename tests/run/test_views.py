"""The making of views is decided, kept and reported.

It is decided where there are any, kept by earlier recipes, and reported where it changes nothing.
"""

import json

import pytest
import yaml

from hubtl.card import render
from hubtl.card.views import training_views
from hubtl.errors import HubtlError
from hubtl.recipe.reading import merge, parse
from hubtl.run.plan import facts
from hubtl.run.prepare import prepare
from hubtl.run.resume import check_same_recipe
from hubtl.run.views import KEYS

DIGITS = {"source": "builtin:digits/mnist", "target": "builtin:digits/uci", "strategy": "coral"}
LENET = {**DIGITS, "model": {"name": "lenet", "pretrained": False}}
LARGE = {**DIGITS, "model": {"name": "mobilenetv3_small_050", "pretrained": False, "image_size": 64}}


def ready(raw, **changes):
    return prepare(parse(merge(raw, {key.replace("__", "."): value for key, value in changes.items()})))


def decided(run):
    return {d.key: d.value for d in run.decisions if d.key in KEYS}


def test_small_images_without_crops_have_nothing_to_decide():
    run = ready(LENET)
    assert decided(run) == {}
    assert run.warnings == []
    assert training_views(run.recipe.model_dump(mode="json")) is None


def test_strong_views_are_recorded_where_a_method_asks_for_them():
    run = ready(LENET, **{"strategy.name": "adamatch"})
    assert decided(run) == {"data.views": "rand-m10-n2-mstd2"}
    given = ready(LENET, **{"strategy.name": "adamatch", "data.view_operations": ["rotate"], "data.views": "rand-m5"})
    assert decided(given) == {}
    assert given.streams.train["source"].random.operations == ("rotate",)
    card = render(facts(given, "hubtl adapt"))
    assert "- Training views: strong views `rand-m5` among rotate.\n" in card


def test_crops_reach_the_training_stream_the_record_and_the_card():
    run = ready(LENET, **{"data.augment": "standard", "data.crop_area": 0.7, "data.flip": 0.0})
    assert run.streams.train["source"].random.area == (0.7, 1.0)
    assert set(decided(run)) == {"data.crop_ratio", "data.interpolation"}
    card = render(facts(run, "hubtl adapt"))
    said = "random crops, 70 to 100% of the area, 0.75 to 1.33 times as wide as high, resized bilinear; never flipped"
    assert f"- Training views: {said}.\n" in card


def test_what_changes_nothing_is_said():
    run = ready(LENET, **{"data.crop_area": 0.7, "data.views": "none"})
    assert run.warnings == ["data.crop_area, data.views changed nothing: no stream of this run has such random views"]


def test_a_recipe_that_names_no_crop_keeps_the_usual_one():
    """As those of earlier versions: their resolved recipes say standard, and nothing of crops."""
    run = ready(LENET, **{"data.augment": "standard"})
    assert decided(run)["data.crop_area"] == [0.08, 1.0]
    assert run.streams.train["source"].random.area == (0.08, 1.0)


@pytest.mark.parametrize("how", ["record", "recipe"])
def test_an_interrupted_run_of_an_earlier_version_goes_on(how, tmp_path):
    run = ready(LENET, **{"data.augment": "standard"})
    record = facts(run, "hubtl adapt")
    for key in KEYS:
        record.recipe["data"].pop(key.removeprefix("data."), None)
    before = json.loads(json.dumps(record.recipe))
    if how == "recipe":
        record.recipe = {}
    record.save(tmp_path)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(before), encoding="utf-8")
    check_same_recipe(ready(before).recipe, tmp_path)
    with pytest.raises(HubtlError, match=r"data\.crop_area"):
        check_same_recipe(ready(before, **{"data.crop_area": 0.5}).recipe, tmp_path)
