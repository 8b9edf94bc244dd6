"""Sets of classes as datasets hold them: lists, text with a separator, a column for each class; and what is none of these."""

import json

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from hubtl.data import tables
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
        ({"tags": ["a", "b"]}, "tags", "texts, which are taken apart only where task.separator says"),
        ({"tags": [{"cat": True}, {"cat": False}]}, "tags", "structs of cat, not a list of classes"),
        ({"tags": [3, 4]}, "tags", "int64 values: one value to a row"),
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
    with pytest.raises(HubtlError, match=r"one class to a row .--task classification"):
        read({"label": [0, 1]}, "label", label=ClassLabel(names=["a", "b"]))
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
        labels = np.array([[1, 0], [1, 1]], np.float32)
        assert task.check_source(labels, outputs, "the source x") == {"a": 2, "b": 1}
        MultiLabel(["a", "b"]).learn(labels)  # of a labelled target alone, too
    with pytest.raises(HubtlError, match="no class is there in some training rows and not in others"):
        MultiLabel(["a", "b"]).learn(labels[:, [0, 0]])


def test_rare_classes_are_held_out_too():
    labels = [["often"]] * 40 + [["often", "rare"]] * 5 + [[]] * 10
    groups = MultiLabel().strata(Dataset.from_dict({"tags": labels}), ["tags"])
    assert groups is not None
    assert [groups.tolist().count(group) for group in (-1, 0, 1)] == [10, 40, 5]


def splits(column="tags", **cells):
    parts = [part if isinstance(part, Dataset) else Dataset.from_dict({column: part}) for part in cells.values()]
    return MultiLabel().read(parts, [column], "the source x", list(cells), None)


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ([["Cat"], ["dog"]], [["cat"], ["dog"]], "train and test write a class differently: 'Cat', 'cat'"),
        ([["caf\u00e9"], []], [["cafe\u0301"], []], "write a class differently"),
        ([["cat"], ["dog"]], [[0], [1]], "which is which is not known"),
    ],
)
def test_splits_that_call_their_classes_differently_are_refused(train, test, said):
    with pytest.raises(HubtlError, match=said):
        splits(train=train, test=test)


def test_splits_of_other_classes_are_said_and_look_alikes_of_one_split_stay_apart():
    assert any("share no class" in note for note in splits(train=[["cat"], []], test=[["n02"], []]).notes)
    found = splits(train=[["A"], ["a"]], test=[["a"], ["A", "a"]])
    assert found.outputs.names == ["A", "a"]
    np.testing.assert_array_equal(found.values[1], [[0, 1], [1, 1]])


def test_names_in_one_split_and_other_numbers_in_another_are_refused():
    feature = Features({"tags": List(ClassLabel(names=["cat", "dog"]))})
    named = Dataset.from_dict({"tags": [[0], [1, 0]]}, features=feature)
    with pytest.raises(HubtlError, match=r"in split test numbers that are none of them \(0, 1\)"):
        splits(train=named, test=[[0], [1]])
    found = splits(train=named, test=[["dog"], []])
    np.testing.assert_array_equal(found.values[1], [[0, 1], [0, 0]])


def test_a_split_of_minus_one_alone_hides_its_labels():
    found = splits(train=[[1], [2]], test=[[-1], [-1], None])
    assert found.outputs.names == ["1", "2"]
    assert np.isnan(found.values[1]).all()
    parts = [Dataset.from_dict({"a": [0, 1], "b": [1, 0]}), Dataset.from_dict({"a": [-1, -1], "b": [-1, -1]})]
    found = MultiLabel().read(parts, ["a", "b"], "the source x", ["train", "test"], None)
    assert MultiLabel(["a", "b"]).unlabelled(found.values[1]).all()


def test_words_for_no_value_are_no_label_among_noughts_ones_and_numbers_and_names_among_names():
    values = read({"a": ["1", "NA", "0"], "b": ["true", "false", "nan"]}, "a,b")[1]
    np.testing.assert_array_equal(values, np.array([[1, 1], [NAN, 0], [0, NAN]], np.float32))
    names, values = read({"labels": ["1;2", "NA", "2"]}, task=separated(";"))
    assert names == ["1", "2"]
    assert np.isnan(values[1]).all()
    names, _ = read({"labels": ["EU;NA", "NA", "EU"]}, task=separated(";"))
    assert names == ["EU", "NA"]
    assert splits(train=[["NA"], ["EU"]]).notes == [
        "NA: read as the name of a class; leave the cell empty where there is none"
    ]


def test_whole_decimals_are_numbers_and_rows_of_one_number_are_text_with_a_separator():
    assert read({"tags": [[1.0, 2.0], [10.0]]})[0] == ["1", "2", "10"]
    names, values = read({"labels": [3, None, 7]}, task=separated(";"))
    assert names == ["3", "7"]
    np.testing.assert_array_equal(values, np.array([[1, 0], [NAN, NAN], [0, 1]], np.float32))


def test_a_column_of_lists_and_other_cells_names_the_row(tmp_path):
    rows = [{"tags": ["cat"]}, {"tags": "dog"}]
    (tmp_path / "data.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (dataset,) = tables.read([[tmp_path / "data.jsonl"]])
    columns, _ = MultiLabel().find(dataset, None, "the source x")
    with pytest.raises(HubtlError, match="row 1: 'dog' is no list of classes"):
        MultiLabel().read([dataset], columns, "the source x", ["train"], None)


@pytest.mark.parametrize("cell", ["['sea', 'boat']", '["sea"]', " {'sea'} ", "('sea', 'boat')", "[1, 0, 1]", "[]"])
def test_a_list_written_as_text_is_no_class_of_that_name(cell):
    with pytest.raises(HubtlError, match=r"row 1: .* is a list written as text"):
        read({"tags": ["sea", cell]}, "tags", separated("comma"))


@pytest.mark.parametrize("cell", ["sea (deep), boat", "(sea)", "[sea]", "sea, [boat]", "{sea, boat}"])
def test_brackets_alone_make_no_list(cell):
    assert read({"tags": [cell, "x, y"]}, "tags", separated("comma"))[0]


def test_a_separator_that_no_cell_has_is_told_of():
    def notes(cells):
        task = separated("comma")
        return task.read([Dataset.from_dict({"tags": cells})], ["tags"], "the source x", ["train"], None).notes

    assert "no cell of column 'tags' has a ','" in notes(["sea;boat", "sea", None])[0]
    assert not notes(["sea, boat", "sea"])


def test_a_list_of_nought_and_one_for_each_class_is_told_what_to_be():
    with pytest.raises(HubtlError) as error:
        read({"labels": [[1, 0, 0], [0, 1, 1]]})
    assert "a column of its own" in error.value.hint


def test_a_split_of_empty_lists_hides_its_labels_where_another_has_classes():
    found = splits(train=[["a"], ["b"], []], test=[[], []])
    np.testing.assert_array_equal(found.values[0], [[1, 0], [0, 1], [0, 0]])
    assert np.isnan(found.values[1]).all()


def test_a_column_of_nothing_is_found_where_no_other_has_lists():
    empty, lists = [None, None], [["a"], ["b"]]
    assert MultiLabel().find(Dataset.from_dict({"labels": empty}), None, "x")[0] == ["labels"]
    assert MultiLabel().find(Dataset.from_dict({"labels": empty, "tags": lists}), None, "x")[0] == ["tags"]
    assert MultiLabel().find(Dataset.from_dict({"labels": empty}), "labels", "x")[0] == ["labels"]


def test_spaces_around_a_name_in_a_list_are_its_own_and_said():
    found = splits(train=[["cat"], [" cat"]])
    assert found.outputs.names == [" cat", "cat"]
    assert "kept apart" in found.notes[0]


def test_labels_of_a_table_beside_class_folders_are_named_in_the_hint():
    features = Features({"label": ClassLabel(names=["a", "b"]), "metadata_label": List(Value("string"))})
    dataset = Dataset.from_dict({"label": [0, 1], "metadata_label": [["x"], []]}, features=features)
    assert MultiLabel().find(dataset, None, "x")[0] == ["metadata_label"]
    with pytest.raises(HubtlError) as error:
        MultiLabel().find(dataset, "label", "x")
    assert error.value.hint == "--label-column metadata_label"


def test_empty_cells_of_text_are_told_of_and_how_a_row_without_a_class_is_written():
    cells = {"tags": ["sea, boat", "sea", None, ""]}
    found = separated("comma").read([Dataset.from_dict(cells)], ["tags"], "the source x", ["train"], None)
    assert found.values[0].tolist()[3] == [0, 0]
    assert np.isnan(found.values[0][2]).all()
    assert "an empty cell in column 'tags': 1;" in found.notes[0]
    assert "an empty text in jsonl or parquet" in found.notes[0]


def test_a_model_reads_columns_that_are_called_as_its_classes():
    data = Dataset.from_dict({"b": [0, 1], "A": [1, 1], "note": ["x", "y"]})
    assert MultiLabel(["a", "b"]).find(data, None, "d")[0] == ["A", "b"]
    assert MultiLabel(["a", "b", "c"]).find(data, None, "d")[0] == ["A", "b"]
    assert MultiLabel(["c", "d"]).find(data, None, "d")[0] == []
    assert MultiLabel().find(data, None, "d")[0] == []


@pytest.mark.parametrize(
    ("cells", "columns", "options"),
    [
        ({"b": [0, 1], "a": ["0", "1"], "n": [3, 4]}, ["b", "a"], {}),
        ({"x": ["sea; boat", "sea", None]}, ["x"], {"separator": "semicolon"}),
        ({"x": ["A dog, which runs fast on grass", "sea", None]}, [], {}),
        ({"n": [3, 4], "b": [0, 1]}, [], {}),
        ({"tags": [["a"], []]}, ["tags"], {}),
    ],
)
def test_columns_that_could_be_read_are_offered_with_their_options(cells, columns, options):
    assert MultiLabel().offer(Dataset.from_dict(cells)) == (columns, options)
