"""Sets of classes as datasets hold them: lists, text with a separator, a column for each class; and what is none of these."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from hubtl.errors import HubtlError
from hubtl.record import Outputs
from hubtl.tasks.multilabel import MultiLabel
from hubtl.tasks.multilabel.task import MultiLabelOptions

NAN = float("nan")


def read(data, asked=None, task=None, **features):
    task = task or MultiLabel()
    dataset = Dataset.from_dict(data, features=Features(features) if features else None)
    columns, _ = task.find(dataset, asked, "the source x")
    found = task.read([dataset], columns, "the source x", ["train"], None)
    return found.outputs.names, found.values[0]


def separated(separator):
    return MultiLabel(options=MultiLabelOptions(separator=separator))


def test_lists_of_names_are_read_and_an_empty_list_is_a_row_of_negatives_but_an_empty_cell_is_unlabelled():
    names, values = read({"tags": [["sea", "boat"], [], None, ["sea"]]})
    assert names == ["boat", "sea"]
    np.testing.assert_array_equal(values, np.array([[1, 1], [0, 0], [NAN, NAN], [0, 1]], np.float32))
    assert values.dtype == np.float32
    assert MultiLabel(names).unlabelled(values).tolist() == [False, False, True, False]


def test_numbers_are_sorted_by_size_and_class_labels_keep_their_order_and_the_classes_that_never_occur():
    assert read({"labels": [[10, 2], [1]]})[0] == ["1", "2", "10"]
    feature = List(ClassLabel(names=["zebra", "ant", "never"]))
    names, values = read({"labels": [[1], [0, 1]]}, labels=feature)
    assert names == ["zebra", "ant", "never"]
    np.testing.assert_array_equal(values, [[0, 1, 0], [1, 1, 0]])


@pytest.mark.parametrize(
    ("feature", "cells"),
    [
        (Value("int64"), [0, 1, None]),
        (Value("bool"), [False, True, None]),
        (Value("float64"), [0.0, 1.0, NAN]),
        (Value("string"), ["0", "1", ""]),
        (Value("string"), ["false", "True", None]),
        (ClassLabel(names=["0", "1"]), [0, 1, None]),
    ],
)
@pytest.mark.parametrize("asked", ["a,b", ["a", "b"], "A, b"])
def test_a_column_of_nought_and_one_for_each_class_with_missing_cells(feature, cells, asked):
    names, values = read({"a": cells, "b": [1, 0, 1]}, asked, a=feature, b=Value("int64"))
    assert names == ["a", "b"]
    np.testing.assert_array_equal(values, np.array([[0, 1], [1, 0], [NAN, 1]], np.float32))


@pytest.mark.parametrize(("word", "text"), [("comma", "sea, boat"), (";", "sea;boat"), ("pipe", "sea | boat")])
def test_text_is_taken_apart_only_where_a_separator_is_named(word, text):
    names, values = read({"labels": [text, "", None, "sea"]}, task=separated(word))
    assert names == ["boat", "sea"]
    np.testing.assert_array_equal(values, np.array([[1, 1], [0, 0], [NAN, NAN], [0, 1]], np.float32))
    found, passed = MultiLabel().find(Dataset.from_dict({"labels": [text]}), None, "the source x")
    assert found == []
    assert "separator" in passed[0]


def test_a_model_remembers_its_separator_for_the_data_that_it_is_evaluated_on():
    task = separated("semicolon")
    dataset = Dataset.from_dict({"labels": ["a;b", "b"]})
    outputs = task.read([dataset], ["labels"], "x", ["train"], None).outputs
    related = task.relate(outputs, outputs)
    again = MultiLabel(related.outputs)
    assert again.find(dataset, "labels", "x")[0] == ["labels"]
    assert again.read([dataset], ["labels"], "x", ["train"], None).outputs.names == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "asked", "said"),
    [
        ({"a": [0, 2], "b": [1, 0]}, "a,b", "column 'a', row 1: '2' is neither 0 nor 1"),
        ({"a": [0, 1], "b": [1, -1]}, "a,b", "column 'b', row 1: '-1' is neither 0 nor 1"),
        ({"a": [0.5, 1], "b": [1, 0]}, "a,b", "column 'a', row 0: '0.5' is neither 0 nor 1"),
        ({"a": ["yes", "1"], "b": [1, 0]}, "a,b", "column 'a', row 0: 'yes' is neither 0 nor 1"),
        ({"a": [["x"], ["y"]], "b": [1, 0]}, "a,b", "column 'a' holds values of type List, not 0 and 1"),
        ({"a": [1, 0], "b": [1, 0]}, "a,a", "asked for twice"),
        ({"a": [1, 0], "b": [1, 0]}, "a,c", "'c'"),
        ({"tags": [["a", None], ["b"]]}, None, "column 'tags', row 0: None is no class"),
        ({"tags": [["a"], ["b", "b"]]}, None, "row 1: class 'b' is listed twice"),
        ({"tags": [["a"], ["b", " "]]}, None, "row 1: ' ' is no class"),
        ({"tags": [[1], [-1]]}, None, "row 1: -1 is no class"),
        ({"tags": [[0.5], [1.0]]}, "tags", "lists of float64 values"),
        ({"tags": ["a", "b"]}, "tags", "texts, which are not taken apart"),
        ({"tags": [3, 4]}, "tags", "int64 values: one number to a row"),
    ],
)
def test_what_is_no_set_of_classes_is_one_error_that_names_row_and_column(data, asked, said):
    with pytest.raises(HubtlError) as caught:
        read(data, asked)
    assert said in str(caught.value)
    assert caught.value.hint


def test_a_number_outside_the_class_labels_is_an_error_with_their_names():
    feature = List(ClassLabel(names=["a", "b"]))
    dataset = Dataset.from_dict({"labels": [[0], [1]]}, features=Features({"labels": feature}))
    broken = dataset.cast_column("labels", List(Value("int64"))).map(lambda row: {"labels": [7]}).with_format(None)
    broken.info.features["labels"] = feature
    with pytest.raises(HubtlError, match=r"row 0: 7 is no class; the classes are a, b"):
        MultiLabel().read([broken], ["labels"], "x", ["train"], None)


def test_one_class_to_a_row_and_one_class_alone_are_sent_to_classification():
    with pytest.raises(HubtlError, match="one class to a row") as caught:
        read({"label": [0, 1]}, "label", label=ClassLabel(names=["a", "b"]))
    assert "--task classification" in str(caught.value.hint)
    with pytest.raises(HubtlError, match="one class alone"):
        MultiLabel().relate(Outputs(names=["a"]), None)


def test_columns_of_nought_and_one_and_text_are_never_guessed():
    dataset = Dataset.from_dict({"a": [0, 1], "b": [1, 0], "caption": ["a, b", "c"]})
    assert MultiLabel().find(dataset, None, "x") == ([], [])


def test_splits_share_their_classes():
    task = MultiLabel()
    parts = [Dataset.from_dict({"tags": [["b"], []]}), Dataset.from_dict({"tags": [["a", "b"]]})]
    found = task.read(parts, ["tags"], "x", ["train", "test"], None)
    assert found.outputs.names == ["a", "b"]
    np.testing.assert_array_equal(found.values[0], [[0, 1], [0, 0]])
    np.testing.assert_array_equal(found.values[1], [[1, 1]])


def test_classes_are_matched_by_name_and_what_the_target_does_not_name_is_not_scored():
    task = MultiLabel()
    source, target = Outputs(names=["cat", "dog", "sea lion"]), Outputs(names=["Sea_Lion", "yak", "cat"])
    related = task.relate(source, target)
    assert related.relation.setting == "open-partial"
    assert related.relation.target_only == ["yak"]
    assert related.relation.source_only == ["dog"]
    values = task.targets(np.array([[1, 0, 0], [0, 1, 0]], np.float32), target, related.outputs)
    np.testing.assert_array_equal(values, np.array([[0, NAN, 1], [0, NAN, 0]], np.float32))
    said = " ".join(task.warnings(related.relation, None, None, None))
    assert "yak" in said
    assert "dog" in said


def test_a_source_without_a_class_that_differs_between_rows_is_refused_and_one_such_class_is_told(caplog):
    task, outputs = MultiLabel(), Outputs(names=["a", "b"])
    with pytest.raises(HubtlError, match="no class is there in some training rows and not in others"):
        task.check_source(np.array([[1, 0], [1, 0]], np.float32), outputs, "the source x")
    with caplog.at_level("WARNING", logger="hubtl"):
        counts = task.check_source(np.array([[1, 0], [1, 1]], np.float32), outputs, "the source x")
    assert counts == {"a": 2, "b": 1}


def test_rare_classes_are_held_out_too():
    labels = [["often"]] * 40 + [["often", "rare"]] * 5 + [[]] * 10
    groups = MultiLabel().strata(Dataset.from_dict({"tags": labels}), ["tags"])
    assert groups is not None
    assert [groups.tolist().count(group) for group in (-1, 0, 1)] == [10, 40, 5]
