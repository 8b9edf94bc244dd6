"""Label columns: which class each row has, which rows have none, and what no label column is."""

import unicodedata

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from hubtl.data import delimited
from hubtl.errors import HubtlError
from hubtl.tasks.classification.columns import label_column
from hubtl.tasks.classification.reading import UNLABELLED, read, unfit


def table(values, **more) -> Dataset:
    return Dataset.from_dict({"label": values, **more})


def named(codes, names) -> Dataset:
    return Dataset.from_dict({"label": codes}, features=Features({"label": ClassLabel(names=names)}))


def names_of(found, part=0):
    return [None if code == UNLABELLED else found.outputs.names[code] for code in found.values[part].tolist()]


def written(tmp_path, cells, name="rows.csv"):
    """A column of a CSV file, read again."""
    import csv

    path = tmp_path / name
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["row", "label"], *([i, cell] for i, cell in enumerate(cells))])
    return delimited.read([[path]], ",")[0]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(st.none(), st.sampled_from(["A", "a", " a", "NA", "None", "nan", "", "1", "-1", "é", "é"])),
        min_size=1,
    )
)
def test_a_row_of_names_has_the_class_that_its_cell_names(cells):
    found = read([table([*cells, "cat"])], "label", "x")
    for cell, name in zip(cells, names_of(found), strict=False):
        assert name == (None if cell in (None, "", "-1") else cell)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-1, 3)), min_size=1))
def test_minus_one_is_a_class_beside_one_alone(values):
    met = {v for v in values if v is not None}
    found = read([table([*values, 1])], "label", "x")
    unlabelled = {None} if met <= {-1, 1} else {None, -1}
    assert names_of(found)[:-1] == [None if v in unlabelled else str(v) for v in values]
    assert [int(n) for n in found.outputs.names] == sorted({*met, 1} - unlabelled)
    assert any("-1 is " in note for note in found.notes) == (-1 in met)


@settings(max_examples=100, deadline=None)
@given(
    st.permutations(["a", "b", "c", "d"]), st.permutations(["c", "d", "e"]), st.lists(st.integers(-1, 2), min_size=1)
)
def test_each_split_is_read_by_its_own_names(first, second, codes):
    found = read([named(codes, first), named(codes, second)], "label", "x")
    for part, own in ((0, first), (1, second)):
        assert names_of(found, part) == [None if c < 0 else own[c] for c in codes]
    assert found.outputs.names == list(dict.fromkeys([*first, *second]))


@pytest.mark.parametrize(
    ("values", "names", "without"),
    [
        ([1.0, 2.0, None, 10.0], ["1", "2", "10"], 1),
        ([float("nan"), 0.0, 3.0], ["0", "3"], 1),
        ([True, False, None], ["False", "True"], 1),
        (["10", "9", "NA"], ["9", "10"], 1),
        (["1.0", "1"], ["1", "1.0"], 0),
        (["01", "1"], ["01", "1"], 0),
        ([-1, -2, 0], ["-2", "-1", "0"], 0),
        ([-1, -1], [], 2),
        ([-1, 0, 1], ["0", "1"], 1),
        (["none", "cat"], ["cat", "none"], 0),
        (["  ", "x"], ["x"], 1),
    ],
)
def test_what_values_are_classes(values, names, without):
    found = read([table(values)], "label", "x")
    assert found.outputs.names == names
    assert int((found.values[0] == UNLABELLED).sum()) == without


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["+1", "-1"], ["-1", "+1"]),
        (["1.0", "-1.0"], ["-1.0", "1.0"]),
        (["0.0", "1.0", "-1.0"], ["0.0", "1.0"]),
        (["cat", "dog", "-1.0"], ["cat", "dog"]),
    ],
)
def test_minus_one_is_the_same_number_however_it_is_written(values, names):
    found = read([table(values)], "label", "x")
    assert found.outputs.names == names
    assert any("is a class" in note or "is no label" in note for note in found.notes)


def test_a_hidden_test_split_is_told_by_the_training_rows():
    found = read([table([0, 1, 2]), table([-1, -1])], "label", "x")
    assert (found.outputs.names, names_of(found, 1)) == (["0", "1", "2"], [None, None])
    assert read([named([-1, 0], ["a", "b"])], "label", "x").values[0].tolist() == [UNLABELLED, 0]


@pytest.mark.parametrize(
    ("values", "known", "names"),
    [
        ([-1, 1], ["0", "1"], ["1"]),
        ([-1, 1], ["-1", "1"], ["-1", "1"]),
        ([-1, 0, 1], ["-1", "1"], ["-1", "0", "1"]),
        ([-1, 1], ["cat", "dog"], ["-1", "1"]),
        ([-1, 2], ["1", "2"], ["2"]),
    ],
)
def test_minus_one_is_what_the_other_domain_takes_it_for(values, known, names):
    found = read([table(values)], "label", "x", known=known)
    assert found.outputs.names == names
    assert any("-1 is " in note for note in found.notes)


def test_a_class_without_a_name_is_none():
    found = read([named([0, 1, 2], ["", "a", "b"])], "label", "x")
    assert (found.outputs.names, names_of(found)) == (["a", "b"], [None, "a", "b"])


def test_numbers_in_one_split_and_names_in_another_are_refused():
    with pytest.raises(HubtlError, match="in split test numbers that are none of them \\(0, 1\\)"):
        read([named([0, 1], ["a", "b"]), table([0, 1])], "label", "the target", ["train", "test"])
    digits = read([named([0, 1], ["1", "0"]), table([0, 1])], "label", "the target")
    assert (names_of(digits, 0), names_of(digits, 1)) == (["1", "0"], ["0", "1"])


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ([0, 1], ["a", "b"], "share no class: train has 0, 1, and test a, b: which is which is not known"),
        (["a", "b"], ["0", "1"], "share no class: train has a, b, and test 0, 1: which is which is not known"),
        (["cat", "dog"], ["CAT", "dog"], "write a class differently: 'cat', 'CAT'"),
        (["1", "2"], ["1.0", "2.0"], "write a class differently: '1', '1.0'"),
    ],
)
def test_splits_that_call_their_classes_differently_are_refused(first, second, said):
    with pytest.raises(HubtlError, match=said):
        read([table(first), table(second)], "label", "the target", ["train", "test"])


def test_splits_of_other_classes_are_said():
    found = read([table(["a", "b"]), table(["c"])], "label", "x", ["train", "test"])
    assert "the splits share no class: train has a, b, and test c" in found.notes
    assert not read([table(["a", "A"]), table(["a"])], "label", "x", ["train", "test"]).notes[1:]


def test_a_quote_that_does_not_close_is_no_class(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('row,label\n0,cat\n1,"dog\n2,cat\n3,dog"\n4,dog\n')
    with pytest.raises(HubtlError, match=r"split train, column .label., row 1: the label .dog.*has several lines"):
        read(delimited.read([[path]], ","), "label", "x", ["train"])
    assert read([table(["cat\n", "dog\n"])], "label", "x").outputs.names == ["cat\n", "dog\n"]
    assert read([named([0, 1], ["a\nb", "c"])], "label", "x").outputs.names == ["a\nb", "c"]


def test_names_that_differ_little_are_kept_apart_and_said():
    found = read([table(["A", "a", "b"])], "label", "x")
    assert found.outputs.names == ["A", "a", "b"]
    assert any("'A', 'a'" in note for note in found.notes)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([[0], [1, 2]], "lists: several labels to a row"),
        ([{"name": "a"}, {"name": "b"}], "structs of name"),
        ([0.5, 1.0], "numbers such as 0.5"),
        ([float("inf"), 1.0], "numbers such as inf"),
        ([b"a", b"b"], "binary values"),
    ],
)
def test_a_column_that_holds_no_labels_says_what_it_holds(cells, said):
    dataset = table(cells)
    assert said in unfit(dataset, "label")
    with pytest.raises(HubtlError, match=f"column 'label' holds {said}"):
        label_column(dataset, "LABEL", "the target")
    found, passed = label_column(dataset, None, "the target")
    assert found is None
    assert said in passed[0]


def test_headers_match_in_either_unicode_form():
    for form, other in (("NFC", "NFD"), ("NFD", "NFC")):
        dataset = Dataset.from_dict({unicodedata.normalize(form, "Größe"): ["a", "b"]})
        asked = unicodedata.normalize(other, "größe")
        assert label_column(dataset, asked, "x")[0] == dataset.column_names[0]


@pytest.mark.parametrize("header", ["label", "Label", "LABEL", " label", "Class", "Category"])
def test_headers_match_regardless_of_case(header):
    dataset = Dataset.from_dict({header: ["a", "b"], "other": ["x", "y"]})
    assert label_column(dataset, None, "x") == (header, [])
    assert label_column(dataset, header.strip().upper(), "x")[0] == header


def test_a_second_label_column_is_named_with_the_reason():
    both = Features({"label": Value("int64"), "species": ClassLabel(names=["a", "b"])})
    dataset = Dataset.from_dict({"label": [0, 1], "species": [0, 1]}, features=both)
    assert label_column(dataset, None, "x") == ("species", ["column 'label' is passed over: 'species' is read"])
    assert label_column(dataset, None, "x", aside="species") == ("label", [])
    exact = Dataset.from_dict({"Label": ["a"], "label": ["b"]})
    assert label_column(exact, None, "x")[0] == "label"


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2", ""], "int64"),
        (["1.0", "2.0", ""], "float64"),
        (["1", "NA", "3"], "int64"),
        (["NA", "EU", ""], "string"),
        (["None", "null"], "string"),
        (["01", "02"], "string"),
        (["True", "False"], "string"),
        (["12345678901234567890", "1"], "string"),
        (["1e-05", "0.5"], "float64"),
        (["", ""], "string"),
        (["a.png", "NA"], "string"),
    ],
)
def test_a_column_of_a_table_is_numbers_only_if_all_of_it_is(tmp_path, cells, kind):
    dataset = written(tmp_path, cells)
    assert dataset.features["label"].dtype == kind
    missing = {"", "NA"} if kind != "string" or "a.png" in cells else {""}
    assert [v is None for v in dataset["label"][:]] == [cell in missing for cell in cells]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(["NA", "none", "None", "nan", "NaN", "null", "N/A", "a", 'q"uote', "comma, name", "é"]),
        min_size=1,
    )
)
def test_text_cells_survive_a_table(tmp_path_factory, cells):
    assert written(tmp_path_factory.mktemp("csv"), cells)["label"][:] == cells


def test_types_are_those_of_all_files_together(tmp_path):
    (tmp_path / "train.csv").write_text("label\n1\n2\n")
    (tmp_path / "test.csv").write_text("label\ncat\n3\n")
    train, test = delimited.read([[tmp_path / "train.csv"], [tmp_path / "test.csv"]], ",")
    assert (train["label"][:], test["label"][:]) == (["1", "2"], ["cat", "3"])
    assert train._fingerprint != test._fingerprint


def test_a_table_that_says_less_than_it_holds_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x,label\n1,a,7\n2,b,8\n")
    with pytest.raises(HubtlError, match=r"a\.csv does not load"):
        delimited.read([[tmp_path / "a.csv"]], ",")
    (tmp_path / "b.csv").write_text("x,label\n1,a\n")
    (tmp_path / "c.csv").write_text("x,class\n1,a\n")
    with pytest.raises(HubtlError, match=r"c\.csv has the columns x, class, and b\.csv x, label"):
        delimited.read([[tmp_path / "b.csv", tmp_path / "c.csv"]], ",")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image;label\na.png;cat\n", "its columns are divided by ';', not by ','"),
        ("image\tlabel\na.png\tcat\n", "its columns are divided by '\\\\t'"),
        ("img/a.png,cat\nimg/b.png,dog\n", "has no header: its first line names the file img/a.png"),
        ("image,label\na.png,cat\n".encode("utf-16"), "is not in UTF-8"),
        ("image,label\na.png,cat\n".encode("utf-16-le"), "is not in UTF-8"),
    ],
)
def test_a_first_line_that_is_no_header_of_this_kind_is_refused(tmp_path, text, said):
    path = tmp_path / "rows.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(HubtlError, match=said):
        delimited.read([[path]], ",")


def test_two_columns_of_one_name_and_two_ways_of_one_number_are_said(tmp_path, caplog):
    path = tmp_path / "rows.csv"
    path.write_text("row,label,label\n0,1,a\n1,1.0,b\n2,2,c\n")
    (read,) = delimited.read([[path]], ",")
    assert read["label"][:] == [1, 1, 2]
    assert "several columns are called label" in caplog.text
    assert "1 and 1.0 are the same number" in caplog.text


def test_codes_with_an_e_are_names(tmp_path):
    assert written(tmp_path, ["1E5", "2e3", "10"])["label"][:] == ["1E5", "2e3", "10"]
    assert written(tmp_path, ["1e5", "0.5"])["label"][:] == [1e5, 0.5]


def test_files_of_a_split_may_order_and_write_their_headers_otherwise(tmp_path):
    (tmp_path / "b.csv").write_text("x,label\n1,a\n")
    (tmp_path / "c.csv").write_text("Label,X\nb,2\n")
    (dataset,) = delimited.read([[tmp_path / "b.csv", tmp_path / "c.csv"]], ",")
    assert (dataset["x"][:], dataset["label"][:]) == ([1, 2], ["a", "b"])


def test_twenty_thousand_classes_are_read_at_once():
    names = [f"c{i}" for i in range(20_000)]
    found = read([named(list(range(20_000)), names), named(list(range(20_000)), names[::-1])], "label", "x")
    assert found.outputs.names == names
    assert np.array_equal(found.values[1], np.arange(20_000)[::-1])


def test_datasets_are_read_as_before_by_the_library(tmp_path):
    """The pinned library keeps the names of classes in a file's metadata; without that nothing here holds."""
    named([0, 1], ["a", "b"]).to_parquet(tmp_path / "x.parquet")
    from hubtl.data.shards import numbered_names

    assert numbered_names(tmp_path / "x.parquet") == {"label": ("a", "b")}
