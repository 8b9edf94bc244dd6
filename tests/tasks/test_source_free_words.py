"""A source-free model's card claims nothing of the target's labels. The model never saw them."""

from types import SimpleNamespace

import pytest

from hubtl.record import Outputs
from hubtl.tasks.multilabel import words as multilabel
from hubtl.tasks.regression import words as regression


@pytest.mark.parametrize(
    ("setting", "source", "said"),
    [
        ("source-free", None, "of the data behind the model that was adapted"),
        ("transfer", None, "of the target"),
        ("sequential", "s", "of the target"),
        ("adaptation", "s", "of the source"),
    ],
)
def test_the_range_that_was_learnt_from_is_that_of_the_data_that_had_labels(setting, source, said):
    outputs = Outputs(names=["size"], details={"range": [[1.0, 9.0]]})
    model = SimpleNamespace(library="timm")
    record = SimpleNamespace(setting=setting, source=source, outputs=outputs, native=True, model=model)
    (limit,) = regression.limits(record)
    assert f"It learnt from values {said} in these ranges" in limit


@pytest.mark.parametrize("held_out", [True, False])
def test_thresholds_that_came_with_a_model_are_not_of_this_training(held_out):
    outputs = Outputs(names=["a"], details={"thresholds_held_out": held_out})
    record = SimpleNamespace(setting="source-free", outputs=outputs)
    assert multilabel.fitted_on(record) == "rows of the data behind the model that was adapted"
    record.setting = "transfer"
    assert "training" in multilabel.fitted_on(record)
