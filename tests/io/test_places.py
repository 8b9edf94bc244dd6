"""Where commands write: found out before they work, written whole, and JSON for every reader."""

import json
import math
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.errors import HubtlError
from hubtl.io import files, jsontext
from hubtl.io.places import check_file, check_writable
from hubtl.models import saved as api
from hubtl.studies.rank import Ranked, Ranking
from hubtl.tasks.classification import Classification
from tests.tiny import hubtl_command

CLASSES = ["a", "b", "c"]


def refuse(constant):
    raise ValueError(f"{constant} is no JSON")


def read(text):
    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "model"
    backbone = backbones.resolve("lenet", BackboneRequest(CLASSES, pretrained=False, image_size=32))
    api.save(folder, backbone.eval(), nn.Linear(backbone.info.width, 3), CLASSES, {"task": "classification"})
    return folder


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    random = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        Image.fromarray(random.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / name / "1.png")
    return folder


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


PLACES = {
    "a folder": ("there", "is a folder"),
    "a folder with a slash": ("there/", "is a folder"),
    "here": (".", "is a folder"),
    "below a file": ("file/x.json", "is a file"),
    "a pipe": ("pipe", "is no plain file"),
    "a folder where it is written first": ("half", "half.partial is no plain file"),
    "a name too long": ("x" * 300, "cannot write"),
    "a name too long while it is written": ("x" * 252, "cannot write"),
}


@pytest.fixture
def places(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    (tmp_path / "half.partial").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", ["predict", "evaluate", "rank"])
def test_a_file_that_cannot_be_written_is_said_first(model, photos, places, capsys, command, place):
    name, words = PLACES[place]
    before = everything(places)
    rest = {
        "predict": [str(model), str(photos)],
        "evaluate": [str(model), "--dataset", str(photos)],
        "rank": ["--models", "lenet", "--target-dataset", str(photos)],
    }[command]
    code, out, err = hubtl_command([command, *rest, "--output", name], capsys)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("error:") == err.count("try:") == 1
    assert "rows" not in err, "it was found out before data were read"
    assert everything(places) == before


COMMANDS = {
    "explain": ["explain", "MODEL", "PHOTO"],
    "adapt": ["adapt", "--model", "lenet", "--no-pretrained", "--target-dataset", "PHOTOS", "--strategy", "finetune"],
    "compare": ["compare", "RECIPE", "--strategies", "coral"],
    "tune": ["tune", "RECIPE", "--trials", "1"],
}


@pytest.mark.parametrize("name", ["file", "file/below"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_cannot_be_made_is_one_error(model, photos, places, capsys, command, name):
    recipe = places / "recipe.yaml"
    recipe.write_text(
        f"model: {{name: lenet, pretrained: false}}\nsource: {{dataset: {photos}}}\ntarget: {{dataset: {photos}}}\n"
        "strategy: {name: coral}\nrun: {steps: 1}\n"
    )
    known = {"MODEL": model, "PHOTO": photos / "a" / "1.png", "PHOTOS": photos, "RECIPE": recipe}
    before = everything(places)
    words = [str(known.get(word, word)) for word in COMMANDS[command]]
    code, _, err = hubtl_command([*words, "--output-dir", name], capsys)
    assert code == 2
    assert "file is a file" in err
    assert err.count("error:") == err.count("try:") == 1
    assert everything(places) == before


def test_what_may_be_written_is_written(model, photos, tmp_path, capsys):
    for name in ("new/below/it.jsonl", "x" * 240):
        code, _, err = hubtl_command(["predict", str(model), str(photos), "-o", str(tmp_path / name)], capsys)
        assert code == 0, err
        assert (tmp_path / name).stat().st_size
    code, _, err = hubtl_command(
        [
            "evaluate",
            str(model),
            "--dataset",
            str(photos),
            "--split",
            "train",
            "--output",
            str(tmp_path / "new/e.json"),
        ],
        capsys,
    )
    assert code == 0, err
    assert read((tmp_path / "new/e.json").read_text())["n"] == 3
    assert not [name for name in everything(tmp_path) if name.endswith(files.PARTIAL)]


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "ranking.json"
    ranking = Ranking(
        by="logme",
        labels="target",
        target="t",
        split="train",
        rows=1,
        scored_rows=1,
        outputs=["a"],
        task="classification",
    )
    ranking.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        ranking.save(path)
    assert path.read_bytes() == before
    assert everything(tmp_path) == ["ranking.json"]


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_what_was_not_measured_is_null(tmp_path, odd):
    value = {"a": odd, "b": [1.5, odd, (odd, {"c": odd})], "d": 0, "e": True}
    there = {"a": None, "b": [1.5, None, [None, {"c": None}]], "d": 0, "e": True}
    assert read(jsontext.text(value)) == there
    jsontext.save(tmp_path / "x.json", value)
    assert read((tmp_path / "x.json").read_text()) == there
    ranking = Ranking(
        by="logme",
        labels="target",
        target="t",
        split="train",
        rows=1,
        scored_rows=1,
        outputs=["a"],
        task="classification",
    )
    ranking.models.append(Ranked(model="m", scores={"logme": odd}, a_distance=odd))
    ranking.save(tmp_path / "x.json")
    assert read((tmp_path / "x.json").read_text())["models"][0]["a_distance"] is None


@pytest.mark.parametrize("odd", [math.nan, math.inf])
@pytest.mark.parametrize("command", ["evaluate", "diff"])
def test_figures_that_are_none_are_null_on_stdout_too(model, photos, capsys, monkeypatch, tmp_path, command, odd):
    real = Classification.evaluation

    def spoilt(*a, **options):
        found = real(*a, **options)
        found.figures.ece = odd
        return found

    monkeypatch.setattr(Classification, "evaluation", spoilt)
    models = [str(model)] * (1 if command == "evaluate" else 2)
    data = ["--dataset", str(photos), "--split", "train", "--json"]
    code, out, err = hubtl_command([command, *models, *data], capsys)
    assert code == 0, err
    figures = read(out)
    assert (figures if command == "evaluate" else figures["first"])["ece"] is None


def test_names_that_are_no_utf_8_are_written_out(model, photos, tmp_path, capsys):
    try:
        shutil.copyfile(photos / "a" / "1.png", os.fsencode(tmp_path) + b"/caf\xe9.png")
    except OSError:
        pytest.skip("the file system has names in UTF-8 alone")
    given = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    for suffix in ("jsonl", "csv", "parquet"):
        out = tmp_path / f"out.{suffix}"
        code, _, err = hubtl_command(["predict", str(model), given, "-o", str(out)], capsys)
        assert code == 0, err
        if suffix == "parquet":
            from datasets import Dataset

            assert Dataset.from_parquet(str(out))[0]["input"].endswith(r"caf\udce9.png")
        else:
            assert r"caf\udce9.png" in out.read_text(encoding="utf-8").replace("\\\\", "\\")


@pytest.mark.parametrize("name", ["a\0b", "a/b\0"])
def test_a_null_character_is_no_name(tmp_path, name):
    for check in (check_file, check_writable):
        with pytest.raises(HubtlError, match="cannot write"):
            check(tmp_path / name)
