"""``--target-labels``: rows of the target that a file gives a label are learnt from, and nothing else of its labels is."""

import csv
import re
import shutil

import pytest
from datasets import Dataset

from hubtl.data.origin import numbers
from hubtl.data.sources import open_domain
from hubtl.errors import HubtlError
from hubtl.recipe.reading import parse
from hubtl.record import Outputs, RunRecord
from hubtl.run.given import given
from hubtl.run.prepare import task_of
from hubtl.studies import candidates
from hubtl.studies import label as study
from tests.studies.test_label import ROWS, draw, spoil, truth
from tests.tiny import hubtl_command


@pytest.fixture
def place(tmp_path):
    draw(tmp_path / "source", [f"{name}/{i}.png" for i in range(12) for name in ("dark", "light")], 0)
    draw(tmp_path / "target", [f"{i:03}.png" for i in range(ROWS)], 1)
    return tmp_path


def table(path, rows):
    with path.open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "image", "label"])
        writer.writerows(rows)
    return path


def adapt(place, capsys, *more, out="run"):
    words = ["adapt", "--model", "lenet", "--no-pretrained", "--source-dataset", place / "source"]
    words += ["--target-dataset", place / "target", "--strategy", "coral", "--steps", "4", "--batch-size", "8"]
    words += ["--set", "run.plots=false", "--set", "run.keep_source_only=true", "--output-dir", place / out, *more]
    return hubtl_command([str(word) for word in words], capsys)


def rows_of(place, count):
    """Rows with their names, of those that a run trains on."""
    recipe = parse(
        {
            "target": {"dataset": str(place / "target")},
            "source": {"dataset": str(place / "source")},
            "model": {"name": "lenet"},
        }
    )
    opened = open_domain(recipe.target, recipe.data, task_of(recipe), role="target")
    return [(int(n), f"{n:03}.png", truth(f"{n}.png")) for n in numbers(opened.train)[:count]]


def test_rows_of_a_file_are_learnt_from_and_asked_for_no_more(place, capsys):
    rows = rows_of(place, 8)
    path = table(place / "labels.csv", [*rows[:6], (*rows[6][:2], ""), (*rows[7][:2], "none of these")])
    code, out, err = adapt(place, capsys, "--target-labels", path)
    assert code == 0, err
    record = RunRecord.load(place / "run")
    assert record.target_told == [row for row, *_ in rows[:6]]
    assert (record.target_labels, record.adapted.n, record.adapted.value) == ("few", 12, None)
    card = (place / "run" / "README.md").read_text()
    assert "THE LABELS OF 6 TARGET ROWS WERE USED for training" in card
    assert "learnt from: 6 rows with labels of a file" in err + out
    plain = adapt(place, capsys, out="plain")
    assert plain[0] == 0
    model = [(place / name / "model.safetensors").read_bytes() for name in ("run", "plain")]
    assert model[0] != model[1]
    spoil(place / "run")
    before = study.begin(place / "run", study.Rule()).numbers
    record.target_told = []
    record.save(place / "run")
    everything = study.begin(place / "run", study.Rule()).numbers
    assert set(before) == set(everything) - {row for row, *_ in rows[:6]}


def test_the_cap_counts_rows_of_a_class(place, capsys):
    path = table(place / "labels.csv", rows_of(place, 20))
    assert adapt(place, capsys, "--target-labels", path, "--target-labels-per-class", "2")[0] == 0
    record = RunRecord.load(place / "run")
    assert [truth(f"{row}.png") for row in sorted(record.target_told, key=lambda r: r % 2)] == ["dark"] * 2 + [
        "light"
    ] * 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: (row[0], row[1], "grey"), "line 2, row .*: unknown class 'grey'"),
        (lambda row: (row[0], "other.png", row[2]), "and not 'other.png'"),
        (lambda row: (999, "", row[2]), "there is no row 999"),
        (lambda row: (row[0], row[1], ""), "gives no row a label"),
    ],
)
def test_a_file_that_is_not_of_these_data_is_one_error_before_anything_is_trained(place, capsys, change, said):
    path = table(place / "labels.csv", [change(rows_of(place, 1)[0])])
    code, _, err = adapt(place, capsys, "--target-labels", path)
    assert code == 2
    assert re.search(said, err), err
    assert len([line for line in err.splitlines() if line.startswith("error:")]) == 1
    assert not (place / "run" / "record.json").exists()


def test_a_file_that_is_missing_is_an_error(place, capsys):
    code, _, err = adapt(place, capsys, "--target-labels", place / "gone.csv")
    assert code == 2
    assert "there is no file" in err


@pytest.mark.parametrize(
    ("task", "outputs", "said", "read"),
    [
        ("classification", ["cat", "dog"], ["dog", "cat", "none of these"], [1, 0]),
        ("multi-label", ["cat", "dog", "bus"], ["dog, bus", "none of these", "cat"], [[0, 1, 1], [0, 0, 0], [1, 0, 0]]),
        ("regression", ["angle"], ["3.5", "-2", "1e1"], [[3.5], [-2], [10]]),
    ],
)
def test_rows_of_texts_are_told_by_number_and_text_in_every_task(tmp_path, task, outputs, said, read):
    texts = [f"a text of the number {n}" for n in range(20)]
    Dataset.from_dict({"text": texts}).to_parquet(tmp_path / "target.parquet")
    path = tmp_path / "labels.csv"
    recipe = parse(
        {
            "model": {"name": "lenet"},
            "task": {"name": task},
            "target": {"dataset": str(tmp_path / "target.parquet"), "labels": str(path)},
        }
    )
    own = task_of(recipe)
    target = open_domain(recipe.target, recipe.data, own, role="target", modalities=("text",))
    own.outputs = Outputs(names=outputs)
    rows = numbers(target.train)[[9, 2, 5]].tolist()
    with path.open("w") as file:
        csv.writer(file, delimiter=";").writerows(
            [["label", "row", "text"], *([label, row, texts[row]] for label, row in zip(said, rows, strict=True))]
        )
    found = given(recipe, target, own, "adaptation")
    by_row = dict(zip(found.rows, found.labels[found.positions].tolist(), strict=True))
    assert by_row == dict(zip(rows, read, strict=False))
    assert found.rows == sorted(found.rows)
    assert len(found.labels) == len(target.train)
    with pytest.raises(HubtlError, match="there is no such source"):
        given(recipe, target, own, "source-free")
    path.write_text(f"row,text,label\n{rows[0]},another text,{said[0]}\n")
    with pytest.raises(HubtlError, match="and not 'another text'"):
        given(recipe, target, own, "adaptation")


def test_rows_that_were_learnt_from_by_their_number_of_a_class_are_asked_for_no_more(place, capsys):
    draw(place / "labelled", [f"{truth(f'{i}.png')}/{i:03}.png" for i in range(ROWS)], 1)
    words = ["--target-dataset", place / "labelled", "--target-labels-per-class", "3"]
    assert adapt(place, capsys, *words)[0] == 0
    record = RunRecord.load(place / "run")
    assert (len(record.target_told), record.target_few) == (6, 3)
    assert "3 rows of each class" in (place / "run" / "README.md").read_text()
    spoil(place / "run")
    asked = set(study.begin(place / "run", study.Rule()).numbers)
    assert asked
    assert not asked & set(record.target_told)
    told, record.target_told = record.target_told, []  # as an earlier hubtl wrote it
    record.save(place / "run")
    assert set(study.begin(place / "run", study.Rule()).numbers) == asked
    record.target_few = None
    record.save(place / "run")
    assert set(study.begin(place / "run", study.Rule()).numbers) >= asked | set(told)
    record.target_labels = "training"  # of all of them
    record.save(place / "run")
    shutil.copytree(place / "run", place / "other")
    with pytest.raises(HubtlError, match="none is left to ask for"):
        candidates.begin([place / "run", place / "other"], study.Rule())


def test_a_run_does_not_go_on_with_other_labels_than_it_was_started_with(place, capsys):
    rows = rows_of(place, 6)
    path = table(place / "labels.csv", rows)
    assert adapt(place, capsys, "--target-labels", path)[0] == 0
    assert adapt(place, capsys, "--target-labels", path, "--resume")[0] == 0
    other = [(*rows[0][:2], "light" if rows[0][2] == "dark" else "dark"), *rows[1:]]
    for changed in (other, rows[1:]):
        table(path, changed)
        code, _, err = adapt(place, capsys, "--target-labels", path, "--resume")
        assert code == 2
        assert "gives other labels than when" in err
