"""A target of which some rows have a label: the others are rows without one, whatever stands for that."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value

from hubtl.data.origin import numbers
from hubtl.data.sources import open_domain
from hubtl.recipe.reading import parse
from hubtl.record import Outputs
from hubtl.run.prepare import task_of

N, FORMATS = 30, ("csv", "jsonl", "parquet")
WORDS = [f"a long enough text of number {n} here" for n in range(2 * N)]
NAMED = {
    "classification": (lambda n: ("cat", "dog", "bus")[n % 3], [None, "", "-1"]),
    "regression": (lambda n: 0.5 + n, [None, float("nan"), ""]),
}


def opened(path, task, known=None, **target):
    recipe = parse(
        {
            "model": {"name": "lenet"},
            "target": {"dataset": str(path), **target},
            "task": {"name": task},
            "data": {"text_column": "text", "label_column": "label"},
        }
    )
    return open_domain(recipe.target, recipe.data, task_of(recipe), role="target", modalities=("text",), known=known)


def written(place, form, labels, name="train", start=0):
    place.mkdir(exist_ok=True)
    path = place / f"{name}.{form}"
    rows = {"text": WORDS[start : start + len(labels)], "label": labels}
    if form == "csv":
        lines = [f"{text},{'' if label is None else label}" for text, label in zip(*rows.values(), strict=True)]
        path.write_text("\n".join(["text,label", *lines]) + "\n")
    elif form == "jsonl":
        Dataset.from_dict(rows).to_json(path)
    else:
        Dataset.from_dict(rows).to_parquet(path)
    return path


def check(found, missing):
    """Rows without a label stay in training, evaluation rows have one. None is in both."""
    task, train, held = found.task, numbers(found.train), numbers(found.eval)
    assert not set(train) & set(held)
    assert {int(n) for n in train[task.unlabelled(found.labels)]} == missing
    assert not task.unlabelled(found.eval_labels).any()
    assert (found.facts.unlabelled_rows, found.facts.eval_unlabelled_rows) == (len(missing), 0)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("task", "mark"), [(task, mark) for task, (_, marks) in NAMED.items() for mark in marks], ids=lambda v: repr(v)
)
def test_rows_without_a_label_train_unlabelled_and_the_others_score(tmp_path, task, mark, form):
    make, _ = NAMED[task]
    missing = set(range(0, N, 4))
    labels = [mark if n in missing else make(n) for n in range(N)]
    if mark == "" and task == "regression" and form != "csv":
        labels = [str(label) for label in labels]
    check(opened(written(tmp_path, form, labels), task), missing)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_class_numbers_mark_unlabelled_rows_with_minus_one(tmp_path, form):
    missing = set(range(0, N, 4))
    check(opened(written(tmp_path, form, [-1 if n in missing else n % 3 for n in range(N)]), "classification"), missing)


def split(labels, start, feature):
    rows = {"text": WORDS[start : start + len(labels)], "label": labels}
    return Dataset.from_dict(rows, features=Features({"text": Value("string"), "label": feature}))


def test_a_named_feature_of_the_hub_marks_unlabelled_rows_with_minus_one(tmp_path):
    feature, missing = ClassLabel(names=["cat", "dog", "bus"]), set(range(0, N, 4))
    labels = [-1 if n in missing else n % 3 for n in range(N)]
    DatasetDict({"train": split(labels, 0, feature)}).save_to_disk(tmp_path / "saved")
    check(opened(tmp_path / "saved", "classification"), missing)


@pytest.mark.parametrize(
    ("task", "feature", "hidden", "label"),
    [
        ("classification", ClassLabel(names=["cat", "dog", "bus"]), -1, lambda n: n % 3),
        ("classification", Value("string"), None, lambda n: "cat" if n % 2 else "dog"),
        ("regression", Value("float32"), -1.0, lambda n: 1.5 + n),
        ("multi-label", Sequence(Value("string")), None, lambda n: ["cat"] if n % 2 else ["dog", "bus"]),
    ],
    ids=["class numbers", "names", "numbers", "several"],
)
def test_a_test_split_whose_labels_are_kept_back_is_not_measured(tmp_path, task, feature, hidden, label):
    """Where the training rows have no label either; labelled ones are cut off and scored in its place.

    A number below all of the source's stands for none there; without a source −1 is a number.
    """
    source = Outputs(names=["label"], details={"range": [[0.5, 40.0]]}) if task == "regression" else None
    test = split([hidden] * 9, N, feature)
    none = split([hidden] * N, 0, feature)
    DatasetDict({"train": none, "test": test}).save_to_disk(tmp_path / "hidden")
    found = opened(tmp_path / "hidden", task, source)
    assert (found.labels, found.eval_labels, found.facts.eval_labelled) == (None, None, False)
    assert (len(found.train), len(found.eval), found.facts.eval_split) == (N, 9, "test")

    known = split([label(n) for n in range(N)], 0, feature)
    DatasetDict({"train": known, "test": test}).save_to_disk(tmp_path / "known")
    found = opened(tmp_path / "known", task, source)
    assert (found.facts.eval_split, found.facts.eval_labelled) == ("20% of train", True)
    assert not set(numbers(found.train)) & set(numbers(found.eval))


def test_sets_of_labels_may_be_missing(tmp_path):
    missing = set(range(0, N, 4))
    labels = [None if n in missing else (["cat"] if n % 2 else ["dog", "bus"]) for n in range(N)]
    DatasetDict({"train": split(labels, 0, Sequence(Value("string")))}).save_to_disk(tmp_path / "saved")
    check(opened(tmp_path / "saved", "multi-label"), missing)


def test_a_cap_on_labels_is_of_rows_that_have_one(tmp_path):
    labels = [None if n % 4 == 0 else ("cat", "dog", "bus")[n % 3] for n in range(N)]
    found = opened(written(tmp_path, "parquet", labels), "classification")
    task = found.task
    task.outputs = found.outputs
    chosen = task.few(found.labels, 2, np.random.default_rng(0))
    assert sorted(np.bincount(found.labels[chosen]).tolist()) == [2, 2, 2]
    assert not task.unlabelled(found.labels[chosen]).any()
