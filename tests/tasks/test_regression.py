"""Regression: columns and cells that are read or refused, figures by hand, scaling that is undone once, intervals."""

import copy

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from sklearn.metrics import mean_absolute_error, r2_score
from torch import nn

from hubtl.errors import HubtlError
from hubtl.judging.difference import difference
from hubtl.record import Evaluation, LabelSets, Outputs
from hubtl.strategies.coral import DeepCoral
from hubtl.strategies.finetune import Finetune
from hubtl.strategies.sequential import Sequential
from hubtl.tasks.regression import Estimate, Regression, RegressionFigures
from hubtl.tasks.regression.columns import label_columns
from hubtl.tasks.regression.measuring import by_range, explained, figures_of, margin_of, rank_correlation
from hubtl.tasks.regression.reading import read

NAN = float("nan")


def table(**columns):
    return Dataset.from_dict(columns)


def task(names=("size",), labels=None, **options):
    made = Regression(names, Regression.Options(**options))
    if labels is not None:
        made.learn(np.asarray(labels, dtype=np.float32))
    return made


# columns


def test_a_float_column_of_a_usual_name_is_found_before_integers_and_other_floats():
    assert label_columns(table(id=[1, 2], width_mm=[0.5, 1.5], value=[0.1, 0.2]), None, "d")[0] == ["value"]
    assert label_columns(table(id=[1, 2], Target=[3, 4]), None, "d")[0] == ["Target"]
    found, told = label_columns(table(id=[1, 2], width_mm=[0.5, 1.5]), None, "d")
    assert found == ["width_mm"]
    assert "only one" in told[0]
    assert label_columns(table(id=[1, 2], name=["a", "b"]), None, "d") == ([], [])


def test_several_columns_are_never_guessed_among():
    for columns in ({"value": [0.1], "score": [0.2]}, {"a": [0.1], "b": [0.2]}):
        with pytest.raises(HubtlError, match="several columns of numbers") as error:
            label_columns(table(**columns), None, "d")
        assert all(name in str(error.value) for name in columns)
    assert label_columns(table(a=[0.1], b=[0.2]), None, "d", aside="B")[0] == ["a"]


def test_columns_are_asked_for_by_name_list_or_commas():
    data = table(a=[0.1], b=[1], c=["x"])
    assert label_columns(data, "a", "d")[0] == ["a"]
    assert label_columns(data, "B, a", "d")[0] == ["b", "a"]
    assert label_columns(data, ["a", "b", "a"], "d")[0] == ["a", "b"]
    with pytest.raises(HubtlError, match="nope"):
        label_columns(data, "a,nope", "d")
    with pytest.raises(HubtlError, match="texts such as 'x'"):
        label_columns(data, "c", "d")


def test_columns_of_classes_truth_values_and_lists_are_refused():
    named = Dataset.from_dict({"label": [0, 1]}, features=Features({"label": ClassLabel(names=["a", "b"])}))
    for data, why in (
        (named, "names of classes"),
        (table(label=[True, False]), "truth values"),
        (table(label=[[0.1], [0.2]]), "lists"),
    ):
        with pytest.raises(HubtlError, match=why):
            label_columns(data, "label", "d")
        found, told = label_columns(data, None, "d")
        assert not found
        assert why in told[0]


def test_numbers_of_a_table_beside_class_folders_are_found_and_named_in_the_hint():
    features = Features({"label": ClassLabel(names=["a", "b"]), "metadata_label": Value("int64")})
    data = Dataset.from_dict({"label": [0, 1], "metadata_label": [3, 4]}, features=features)
    assert label_columns(data, None, "d")[0] == ["metadata_label"]
    with pytest.raises(HubtlError) as error:
        label_columns(data, "label", "d")
    assert error.value.hint == "--label-column metadata_label"


# cells


def test_numbers_in_text_are_read_and_empty_cells_have_no_label():
    data = table(y=["3.5", " -2e3", "", None, "NA", "nan", "+7", "−1"], n=[1, 2, 3, None, 5, 6, 7, 8])
    found = read([data], ["y", "n"], "d")
    assert found.outputs.names == ["y", "n"]
    assert found.values[0].dtype == np.float32
    np.testing.assert_array_equal(found.values[0][:, 0], [3.5, -2000, NAN, NAN, NAN, NAN, 7, -1])
    np.testing.assert_array_equal(found.values[0][:, 1], [1, 2, 3, NAN, 5, 6, 7, 8])
    assert task().present(found.values[0]).tolist() == [True] * 3 + [False] + [True] * 4
    assert task().unlabelled(found.values[0]).tolist() == [False] * 3 + [True] + [False] * 4


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["1.5", "big"], "row 1: 'big' is no number"),
        (["1.5", "1,5"], "row 1: '1,5' is no number"),
        (["1.5", "inf"], "row 1: inf is not finite"),
        ([1.5, float("-inf")], "row 1: -inf is not finite"),
        ([1.5, 1e300], r"row 1: 1e\+300 is not finite"),
    ],
)
def test_a_cell_that_is_no_finite_number_is_named_with_its_row(cells, said):
    with pytest.raises(HubtlError, match=said) as error:
        read([table(y=cells)], ["y"], "the source d", ["train"])
    assert "column 'y'" in str(error.value)


def test_a_decimal_comma_is_told_how_to_be_written():
    with pytest.raises(HubtlError) as error:
        read([table(y=["1.5", "1,5"])], ["y"], "d")
    assert "1.5" in error.value.hint


@pytest.mark.parametrize(
    ("cell", "hint"),
    [("1,000", "write 1000, or 1.000 where"), ("1,234,567.5", "write 1234567.5"), ("12,5", "write 12.5 with a point")],
)
def test_commas_within_numbers_are_told_what_to_be(cell, hint):
    with pytest.raises(HubtlError) as error:
        read([table(y=["1.5", cell])], ["y"], "d")
    assert error.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("train", "test", "hidden"),
    [
        ([0.5, 4.0], [-1.0, -1.0], True),
        ([-3.0, 4.0], [-1.0, -1.0], False),
        ([-3.0, 4.0], [-999.0, -999.0], True),
        ([0.5, 4.0], [-1.0, 2.0], False),
        ([0.5, 4.0], [2.0, 2.0], False),
        ([-1.0, -1.0], [-1.0, -1.0], False),
    ],
)
def test_a_split_of_one_value_that_stands_for_none_hides_its_labels(train, test, hidden):
    found = read([table(y=train), table(y=test)], ["y"], "d", ["train", "test"])
    assert np.isnan(found.values[1]).all() == hidden
    assert np.isfinite(found.values[0]).all()
    assert bool(found.notes) == hidden


def test_a_target_of_one_value_that_stands_for_none_is_known_by_the_range_of_the_source_or_the_model():
    source = read([table(y=[0.5, 4.0])], ["y"], "d").outputs
    assert source.details == {"range": [[0.5, 4.0]]}
    hidden = Regression().read([table(w=[-1.0, -1.0])], ["w"], "d", ["train"], source)
    assert np.isnan(hidden.values[0]).all()
    assert "'w' is -1 in all rows of split train" in hidden.notes[0]
    below = Outputs(names=["y"], details={"range": [[-2.0, 4.0]]})
    assert np.isfinite(Regression().read([table(w=[-1.0, -1.0])], ["w"], "d", ["train"], below).values[0]).all()


def test_numbers_too_large_for_their_differences_are_refused():
    with pytest.raises(HubtlError, match="32 bits do not hold how they differ"):
        read([table(y=[1.7e9 + second for second in range(9)])], ["y"], "d")
    read([table(y=[16777216.0, 40000000.0])], ["y"], "d")
    read([table(y=[0.1 + 0.2, 0.3, NAN])], ["y"], "d")


def test_a_constant_column_teaches_nothing():
    labels = np.array([[1.0, 2.0], [1.0, 3.0], [1.0, NAN]], dtype=np.float32)
    with pytest.raises(HubtlError, match="'a' is 1 in all training rows"):
        task().check_source(labels, Outputs(names=["a", "b"]), "the source d")
    with pytest.raises(HubtlError, match="nothing to learn"):
        task(["a", "b"], labels)
    assert task().check_source(labels[:, 1:], Outputs(names=["b"]), "d") == {"b": 2}


# two domains


def test_outputs_are_matched_by_name_and_one_column_each_whatever_it_is_called():
    related = task().relate(Outputs(names=["x", "Scale"]), Outputs(names=["scale", "other", "x"]))
    assert related.outputs.names == ["x", "Scale"]
    assert related.relation.setting == "closed"
    assert related.relation.target_only == ["other"]
    assert related.relation.respelt == {"Scale": "scale"}
    one = task().relate(Outputs(names=["age"]), Outputs(names=["years"]))
    assert one.relation.setting == "closed"
    assert "'years' is taken for the source's 'age'" in one.notes[0]
    assert task().relate(Outputs(names=["age"]), None).relation.setting == "unknown"
    with pytest.raises(HubtlError, match="share no output"):
        task().relate(Outputs(names=["a", "b"]), Outputs(names=["c"]))


def test_labels_are_turned_into_the_models_outputs():
    labels = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)
    own, model = Outputs(names=["scale", "other", "x"]), Outputs(names=["x", "Scale", "z"])
    np.testing.assert_array_equal(task().targets(labels, own, model), [[3.0, 1.0, NAN]])
    np.testing.assert_array_equal(
        task().targets(labels[:, :1], Outputs(names=["years"]), Outputs(names=["age"])), [[1.0]]
    )


# losses


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"loss": "mse"}, [0.25, 4.0]),
        ({"loss": "l1"}, [0.5, 2.0]),
        ({"loss": "huber", "delta": 1.0}, [0.125, 1.5]),
        ({"loss": "pinball", "quantile": 0.9}, [0.45, 0.2]),
    ],
)
def test_losses_are_those_of_standardised_labels(options, expected):
    made = task(labels=[[8.0], [12.0]], **options)  # mean 10, standard deviation 2
    outputs, labels = torch.tensor([[0.0], [1.0]]), torch.tensor([[11.0], [8.0]])
    assert made.losses(outputs, labels).tolist() == pytest.approx(expected)


def test_an_output_without_a_label_teaches_nothing():
    made = task(["a", "b"], [[0.0, 0.0], [2.0, 2.0]])
    outputs = torch.zeros(2, 2, requires_grad=True)
    loss = made.loss(outputs, torch.tensor([[2.0, NAN], [NAN, NAN]]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.25)  # one of four cells
    assert (outputs.grad != 0).tolist() == [[True, False], [False, False]]


def test_guessing_costs_what_the_best_constant_costs():
    labels = np.random.default_rng(0).normal(5, 3, (4000, 1))
    assert task(labels=labels).chance() == pytest.approx(1.0, abs=1e-5)
    assert task(labels=labels, loss="l1").chance() == pytest.approx(np.sqrt(2 / np.pi), abs=0.02)


# scaling


def test_scaling_is_undone_in_answers_and_in_the_exported_layer_and_never_twice():
    live = task(["a", "b"], [[10.0, -1.0], [30.0, 1.0], [20.0, NAN]])
    head, features = nn.Linear(5, 2), torch.randn(7, 5)
    raw = head(features).detach()
    exported = live.export(copy.deepcopy(head))
    assert torch.allclose(live.answers(raw), exported(features), atol=1e-4)
    assert not torch.allclose(raw, exported(features), atol=1e-1)
    saved = Regression(Outputs.model_validate(live.exported().model_dump(mode="json")))
    told = [answer.values for answer in live.decode(list("uvwxyzq"), raw)]
    again = [answer.values for answer in saved.decode(list("uvwxyzq"), exported(features).detach())]
    for one, other in zip(told, again, strict=True):
        assert one == pytest.approx(other, abs=1e-4)
    assert saved.export(exported) is exported
    bare = live.export(nn.Linear(5, 2, bias=False))
    assert torch.allclose(bare(torch.zeros(1, 5)), torch.tensor([[20.0, 0.0]]), atol=1e-6)


def test_the_meter_and_the_score_are_in_the_units_of_the_labels():
    live = task(labels=[[10.0], [30.0]], unit="kg")
    found = live.evaluation(torch.tensor([[0.0], [1.0]]), np.array([[21.0], [33.0]], dtype=np.float32))
    assert found.value == pytest.approx(2.0)
    assert found.primary.unit == "kg"
    assert not found.primary.higher_is_better
    assert live.score(torch.tensor([[0.1], [1.3]]), np.array([[21.0], [33.0]], dtype=np.float32)) == pytest.approx(1.0)


def test_units_are_one_for_all_or_one_for_each():
    assert task(["a", "b"], [[0.0, 0.0], [1.0, 1.0]], unit="kg, cm").outputs.details["unit"] == ["kg", "cm"]
    assert task(["a", "b"], [[0.0, 0.0], [1.0, 1.0]], unit="px").outputs.details["unit"] == ["px", "px"]
    with pytest.raises(HubtlError, match="3 units"):
        task(["a", "b"], [[0.0, 0.0], [1.0, 1.0]], unit="kg,cm,s")


# figures


def drawn_pairs(n=300, k=2, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(3, 2, (n, k)).astype(np.float32)
    predicted = truth + rng.normal(0.2, 1, (n, k))
    truth[rng.random((n, k)) < 0.2] = NAN
    return predicted, truth


def test_figures_are_those_of_sklearn_on_the_cells_that_are_known():
    predicted, truth = drawn_pairs()
    found = figures_of(predicted, truth, ["a", "b"])
    known = np.isfinite(truth)
    maes = [mean_absolute_error(truth[r, k], predicted[r, k]) for k, r in enumerate(known.T)]
    r2s = [r2_score(truth[r, k], predicted[r, k]) for k, r in enumerate(known.T)]
    assert found.value == pytest.approx(np.mean(maes))
    assert found.figures.r2 == pytest.approx(np.mean(r2s))
    assert found.n == known.any(axis=1).sum()
    assert found.unlabelled_rows == (~known.any(axis=1)).sum()
    assert [g.metrics[0].value for g in found.figures.groups()] == pytest.approx(maes)
    low, high = found.primary.interval
    assert low < found.value < high
    assert high - low == pytest.approx(2 * 1.96 * 0.6 / np.sqrt(2 * 240), rel=0.4)


def test_rank_correlation_is_of_ranks_and_not_measured_of_one_value():
    assert rank_correlation(np.array([1.0, 2.0, 30.0]), np.array([0.1, 0.2, 0.3])) == pytest.approx(1)
    assert rank_correlation(np.ones(3), np.arange(3.0)) is None
    assert explained(np.arange(3.0), np.ones(3)) is None


def test_errors_by_range_cover_all_rows_with_about_as_many_each():
    predicted, truth = np.arange(100.0) + 1, np.arange(100.0)
    ranges = by_range(predicted, truth)
    assert sum(r.n for r in ranges) == 100
    assert {r.n for r in ranges} <= {12, 13}
    assert all(r.mae == pytest.approx(1) and r.bias == pytest.approx(1) for r in ranges)
    assert by_range(np.ones(3), np.ones(3))[0].n == 3


def test_without_labels_nothing_is_measured_and_a_record_keeps_it():
    for truth, n, without in ((None, 4, 0), (np.full((4, 1), NAN), 0, 4)):
        found = figures_of(np.zeros((4, 1)), truth, ["a"], ["kg"])
        assert (found.n, found.unlabelled_rows, found.value) == (n, without, None)
    whole = figures_of(*drawn_pairs(), ["a", "b"])
    again = Evaluation.model_validate(whole.model_dump(mode="json"))
    assert isinstance(again.figures, RegressionFigures)
    assert again.value == whole.value
    assert again.slim().figures.per_output == []


def test_the_interval_of_a_difference_is_of_the_same_rows():
    predicted, truth = drawn_pairs()
    better = truth + 0.5 * (predicted - truth)
    before, after = (figures_of(p, truth, ["a", "b"]) for p in (predicted, np.nan_to_num(better)))
    apart = difference(before, after)
    assert apart.low < after.value - before.value < apart.high < 0
    assert difference(before, before).low == difference(before, before).high == 0


# guards


def test_outputs_that_hardly_differ_are_a_collapse_in_units_and_standardised():
    live = task(labels=[[10.0], [30.0]])
    assert "hardly differ" in live.collapse(torch.tensor([[0.0], [0.01]]), LabelSets(setting="closed"))
    assert live.collapse(torch.randn(50, 1), LabelSets(setting="closed")) is None
    saved = Regression(live.exported())
    assert saved.collapse(torch.tensor([[20.0], [20.1]]), LabelSets(setting="closed"))
    assert saved.collapse(20 + 10 * torch.randn(50, 1), LabelSets(setting="closed")) is None
    assert live.spread(torch.zeros(4, 1), None) == {"collapsed": 1.0, "spread": 0.0}


def test_adapting_costs_too_much_from_a_tenth_of_a_constants_error():
    live = task(labels=[[0.0], [10.0]])  # the median errs by 5
    before, after = (figures_of(np.zeros((2, 1)), np.ones((2, 1)), ["a"]) for _ in range(2))
    before.source, after.source = 0.1, 0.5
    assert live.cost(before, after) is None
    after.source = 0.61
    assert "0.100 to 0.610" in live.cost(before, after)


# intervals


def test_split_conformal_takes_the_rank_that_covers():
    assert margin_of(np.arange(1.0, 10.0), 0.9) == 9.0  # ⌈10 · 0.9⌉ = 9 of 9
    assert margin_of(-np.arange(1.0, 20.0), 0.9) == 18.0
    assert margin_of(np.arange(1.0, 9.0), 0.9) is None


def test_intervals_hold_for_nine_of_ten_new_rows_like_those_they_were_fitted_on():
    rng = np.random.default_rng(0)
    live = task(labels=rng.normal(50, 10, (100, 1)))
    raw, truth = torch.from_numpy(rng.normal(size=(800, 1))), None
    truth = live.answers(raw).numpy() + rng.standard_t(3, size=(800, 1))
    fitted = live.fit(raw[:400].float(), truth[:400].astype(np.float32))
    answers = fitted.decode([str(i) for i in range(400)], raw[400:])
    inside = [
        low <= t <= high for a, t in zip(answers, truth[400:, 0], strict=True) for low, high in a.interval.values()
    ]
    assert len(inside) == 400
    assert 0.85 < np.mean(inside) < 0.95
    assert fitted.evaluation(raw[400:], truth[400:]).covered == pytest.approx(np.mean(inside), abs=0.005)
    assert not live.outputs.details.get("margin"), "the task of another model got them too"
    assert answers[0].row()["size_low"] < answers[0].row()["size"] < answers[0].row()["size_high"]


def test_rows_that_were_learnt_from_give_no_interval_nor_does_an_earlier_model():
    live = task(labels=[[0.0], [1.0]])
    raw, truth = torch.randn(50, 1), np.random.default_rng(0).normal(size=(50, 1)).astype(np.float32)
    assert "margin" in live.fit(raw, truth).outputs.details
    assert "margin" not in live.fit(raw, truth, held_out=False).outputs.details
    loaded = Regression(live.fit(raw, truth).outputs)
    assert loaded.decode(["a"], raw[:1])[0].interval
    assert "margin" not in loaded.exported().details


def test_damaged_details_are_no_intervals():
    for margin in ([1.0, 2.0], "wide", [NAN], [-1.0], [None]):
        loaded = Regression(Outputs(names=["a"], details={"margin": margin, "scale": "x", "unit": 3, "range": [1]}))
        assert loaded.decode(["i"], torch.ones(1, 1))[0].interval == {}
        assert loaded.evaluation(torch.ones(3, 1), np.zeros((3, 1))).value == 1.0
        assert loaded.collapse(torch.ones(3, 1), LabelSets(setting="closed")) is None


# words


def test_a_target_beyond_the_sources_range_is_warned_of():
    live = task(labels=[[0.0], [10.0]])
    labels = np.array([[5.0], [11.0], [NAN], [3.0]], dtype=np.float32)
    (said,) = live.warnings(LabelSets(setting="closed"), labels, None, None)
    assert "33%" in said
    assert not live.warnings(LabelSets(setting="closed"), labels[:1], None, None)
    for own in (Finetune, Sequential):  # what these learn from is the target's
        assert not live.warnings(LabelSets(setting="closed"), labels, own, None)
    assert live.warnings(LabelSets(setting="closed"), labels, DeepCoral, None) == [said]


def test_a_feature_of_plain_integers_is_a_number():
    data = Dataset.from_dict({"y": [1, 2]}, features=Features({"y": Value("uint8")}))
    assert read([data], ["y"], "d").values[0].tolist() == [[1.0], [2.0]]


def test_a_table_of_predictions_has_units_and_no_idle_digits():
    sure = Estimate("a.png", {"angle": 18.1225, "n": 12345.6}, {"angle": (14.6, 21.65)}, {"angle": "degrees"})
    table = sure.table()
    assert table == {
        "input": "a.png",
        "angle (degrees)": "18.1",
        "angle_low": "14.6",
        "angle_high": "21.6",
        "n": "12346",
    }
    assert sure.row()["angle_unit"] == "degrees"
    wide = Estimate("a.png", {"y": -1234.5}, {"y": (-1684.5, -784.5)})
    assert wide.table() == {"input": "a.png", "y": "-1234", "y_low": "-1684", "y_high": "-784"}
    assert wide.said()[0].value == "−1234"
    fine = Estimate("a.png", {"y": 1.0}, {"y": (1.0, 1.0)})
    assert fine.table()["y"] == "1.00"


def test_a_model_reads_the_columns_that_its_outputs_are_called():
    data = table(weight=[0.5, 1.5], Angle=[1.5, 2.5], side=[0.1, 0.2])
    assert Regression(["angle"]).find(data, None, "d")[0] == ["Angle"]
    assert Regression(["angle", "weight"]).find(data, None, "d")[0] == ["Angle", "weight"]
    with pytest.raises(HubtlError, match="several columns of numbers"):
        Regression(["other"]).find(data, None, "d")
    assert Regression().offer(data)[0] == ["weight", "Angle", "side"]
