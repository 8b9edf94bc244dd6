"""A saved model's task is found in incomplete or edited files. They say little, differ, or were edited."""

import json

import pytest

import hubtl
from hubtl.errors import HubtlError
from hubtl.models.trained import task_in
from hubtl.record import Outputs
from hubtl.tasks.multilabel import MultiLabel
from hubtl.tasks.regression import Regression
from hubtl.tasks.regression.words import numbers
from tests.backbones.test_loading import tiny


def folder(path, config, facts=None):
    (path / "config.json").write_text(json.dumps(config))
    if facts is not None:
        (path / "hubtl.json").write_text(json.dumps(facts))
    return path


@pytest.mark.parametrize(
    ("config", "facts", "task"),
    [
        ({}, None, "classification"),
        ({}, {"task": "regression"}, "regression"),
        ({"hubtl": {"task": "regression"}}, None, "regression"),
        ({"hubtl": {"task": "multi-label"}}, {"task": "multi-label"}, "multi-label"),
        ({"hubtl": {"strategy": "mcc"}}, {}, "classification"),
        ({"problem_type": "multi_label_classification"}, None, "multi-label"),
        ({"problem_type": "regression"}, None, "regression"),
        ({"problem_type": "single_label_classification"}, None, "classification"),
        ({"problem_type": "regression"}, {"task": "classification"}, "classification"),
    ],
)
def test_the_task_is_that_of_hubtl_or_of_the_problem_type(config, facts, task, tmp_path):
    assert task_in(folder(tmp_path, config, facts)) == task


def test_files_that_differ_are_refused(tmp_path):
    with pytest.raises(HubtlError, match=r"hubtl\.json is of a model for classification, config\.json of one for regr"):
        task_in(folder(tmp_path, {"hubtl": {"task": "regression"}}, {"task": "classification"}))


def test_a_model_of_transformers_for_several_labels_answers_with_several(tmp_path):
    model = tiny("vit")
    model.config.problem_type = "multi_label_classification"
    model.save_pretrained(tmp_path)
    assert isinstance(hubtl.load(tmp_path).task, MultiLabel)


@pytest.mark.parametrize("cuts", [["a", "b"], [0.5], [0.5, 2.0], [0.5, float("nan")], "ab", [None, 0.5]])
def test_thresholds_that_cannot_be_read_are_refused_not_guessed(cuts):
    task = MultiLabel(Outputs(names=["x", "y"], details={"thresholds": cuts}))
    with pytest.raises(HubtlError, match="not a probability for each"):
        _ = task.thresholds


@pytest.mark.parametrize("found", [["a", "b"], [0.5], [0.5, float("inf")], [-1, 2], "ab", None])
def test_details_of_a_regression_that_cannot_be_read_are_none(found):
    outputs = Outputs(names=["x", "y"], details=dict.fromkeys(("margin", "scale", "deviation", "range", "unit"), found))
    assert numbers(outputs, "margin") is None
    assert Regression(outputs).meter() is not None
