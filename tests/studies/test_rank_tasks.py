"""``hubtl rank`` of numbers and of several classes a row: the scores that the task has, and no others."""

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict, Features, Image, Value
from PIL import Image as Picture
from torch import nn

import hubtl
from hubtl.errors import HubtlError
from hubtl.models import saved
from tests.tiny import hubtl_command

ROWS = 80


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    """Discs of some radius in one half or the other: a number, and two columns of 0 and 1."""
    rng = np.random.default_rng(0)
    radius, left = rng.uniform(3, 9, ROWS), rng.random(ROWS) < 0.5
    y, x = np.mgrid[:28, :28]
    images = [
        Picture.fromarray(((y - 14) ** 2 + (x - (9 if one else 19)) ** 2 < r * r).astype(np.uint8) * 200)
        for r, one in zip(radius, left, strict=True)
    ]
    cells = {
        "image": images,
        "size": radius.tolist(),
        "left": left.astype(int).tolist(),
        "large": (radius > 6).astype(int).tolist(),
    }
    kinds = {"image": Image(), "size": Value("float32"), "left": Value("int64"), "large": Value("int64")}
    folder = tmp_path_factory.mktemp("discs")
    DatasetDict(train=Dataset.from_dict(cells, features=Features(kinds))).save_to_disk(folder / "all")
    return str(folder / "all")


@pytest.fixture(scope="module")
def models(discs, tmp_path_factory):
    """A LeNet that learnt the radius, and one whose features drown."""
    folder = tmp_path_factory.mktemp("models")
    run = hubtl.adapt(
        model="lenet", pretrained=False, target_dataset=discs, task="regression", label_column="size", steps=60,
        batch_size=16, device="cpu", output_dir=str(folder / "good"), options={"run.plots": False},
    )  # fmt: skip
    dull = hubtl.load(run.output_dir).backbone
    torch.manual_seed(0)
    with torch.no_grad():
        for p in dull.convolutions.parameters():
            p.mul_(1e-4)
    meta = {"task": "regression", "strategy": "finetune", "base_model": None, "revision": None}
    saved.save(folder / "dull", dull, nn.Linear(500, 1), ["size"], meta)
    return [str(folder / "dull"), str(folder / "good")]


@pytest.mark.parametrize(
    ("by", "task", "columns"),
    [
        ("logme", "regression", "size"),
        ("linear-probe", "regression", "size"),
        ("logme", "multi-label", "left,large"),
    ],
)
def test_the_backbone_that_shows_the_labels_is_first(by, task, columns, discs, models, tmp_path, monkeypatch):
    monkeypatch.setenv("HUBTL_HOME", str(tmp_path))
    found = hubtl.rank(models, discs, by=by, task=task, label_column=columns, device="cpu")
    assert [model.model for model in found.models] == ["good", "dull"]
    assert found.outputs == columns.split(",")
    assert all(set(model.scores) == {"logme", "linear-probe"} and not model.not_measured for model in found.models)


def test_a_score_that_the_task_does_not_have_is_refused_before_anything_is_read(discs, models):
    with pytest.raises(HubtlError, match="regression has no score leep") as refused:
        hubtl.rank(models, discs, by="leep", task="regression", label_column="size", device="cpu")
    assert refused.value.hint == "--by logme or linear-probe"


def test_the_table_names_outputs_and_no_percentage_of_a_fit(discs, models, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HUBTL_HOME", str(tmp_path))
    words = ["rank", "--models", models[1], "--target-dataset", discs, "--task", "regression"]
    code, out, err = hubtl_command([*words, "--label-column", "size", "--device", "cpu"], capsys)
    assert code == 0, err
    header, line = (text.split("\t") for text in out.splitlines())
    assert header == ["", "model", "LogME", "linear probe", "width", "px"]
    assert 0.3 < float(line[3]) <= 1
    assert "by LogME, on 64 rows" in err
    assert err.rstrip().endswith(", 1 output")
