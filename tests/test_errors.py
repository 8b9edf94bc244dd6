"""Errors say what was met and what to type."""

import pytest

from hubtl import plugins
from hubtl.errors import HubtlError, RecipeError, nearest, unknown
from hubtl.recipe.reading import parse


def test_an_error_carries_its_hint_apart_from_its_message():
    error = HubtlError("there is no such file", hint="look again")
    assert str(error) == "there is no such file"
    assert error.hint == "look again"
    assert HubtlError("nothing to be done").hint is None


def test_one_mistake_is_said_plainly_and_several_are_numbered():
    assert str(RecipeError(["optim.lr is 0"], where="a.yaml")) == "a.yaml: optim.lr is 0"
    several = RecipeError(["first", "second"], where="a.yaml")
    assert str(several) == "a.yaml has 2 mistakes: (1) first; (2) second"
    assert several.problems == ["first", "second"]
    assert several.hint


def test_the_nearest_name_is_found_whatever_the_case_and_far_ones_are_not():
    assert nearest("DAN", ["coral", "dann", "mcc"]) == "dann"
    assert nearest("xyzzy", ["coral", "dann", "mcc"]) is None


def test_an_unknown_name_hints_at_the_nearest_or_lists_what_there_is():
    close = unknown("strategy", "danm", ["coral", "dann"])
    assert str(close) == "unknown strategy 'danm'; known: coral, dann"
    assert close.hint == "dann"
    assert unknown("strategy", "xyzzy", ["coral", "dann"]).hint == "one of: coral, dann"
    assert unknown("strategy", "x", []).args[0].endswith("known: none")


def test_a_name_that_is_near_none_hints_at_the_command_that_lists_them():
    with pytest.raises(HubtlError) as raised:
        plugins.find("strategies", "nope")
    assert raised.value.hint == "hubtl list strategies"
    with pytest.raises(RecipeError) as raised:
        parse({"model": "lenet", "target": "data", "strategy": "nope", "ensemble": {"members": "mcc,dan+nope"}})
    assert raised.value.hint == "hubtl list strategies"
    assert "unknown ensemble.members 'nope'" in str(raised.value)


def test_a_long_list_of_names_is_cut():
    error = unknown("model", "zzz", [f"name{i:02}" for i in range(50)])
    assert "name11, …" in str(error)
    assert "name12" not in str(error)
