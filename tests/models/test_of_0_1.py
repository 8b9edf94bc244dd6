"""A run directory of hubtl 0.1 is read as one of today.

``of_0_1`` has the files that hubtl 0.1 wrote for a run of five updates. Its weights are drawn here, in their names and shapes.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from safetensors.torch import save_file

import hubtl
from hubtl.record import FORMAT_VERSION, RunRecord
from tests.tiny import hubtl_command

KEPT = Path(__file__).with_name("of_0_1")


@pytest.fixture
def run(tmp_path):
    folder = shutil.copytree(KEPT, tmp_path / "run")
    generator = torch.Generator().manual_seed(0)
    named = json.loads((folder / "tensors.json").read_text(encoding="utf-8"))
    (folder / "tensors.json").unlink()
    weights = {name: 0.1 * torch.randn(shape, generator=generator) for name, (_, shape) in named.items()}
    save_file(weights, folder / "model.safetensors")
    return folder, weights


def test_the_files_are_those_of_0_1():
    record = json.loads((KEPT / "record.json").read_text(encoding="utf-8"))
    assert (record["format_version"], record["versions"]["hubtl"]) == (1, "0.1.0")
    assert "loader" not in json.loads((KEPT / "hubtl.json").read_text(encoding="utf-8"))


def test_the_model_computes_what_it_computed(run):
    folder, w = run
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    digit = Image.fromarray(pixels)
    x = (torch.from_numpy(pixels).float() / 255 - 0.5)[None, None] / 0.5
    for layer in ("convolutions.0", "convolutions.3"):
        x = F.max_pool2d(F.conv2d(x, w[f"{layer}.weight"], w[f"{layer}.bias"]), 2).relu()
    x = F.linear(x.flatten(1), w["linear.0.weight"], w["linear.0.bias"]).relu()
    logits = F.linear(x, w["classifier.weight"], w["classifier.bias"])

    model = hubtl.load(str(folder))
    assert model.names == [str(number) for number in range(10)]
    (answer,) = model.predict([digit])
    assert answer.label == str(int(logits.argmax()))
    assert answer.confidence == pytest.approx(float(logits.softmax(dim=1).max()), abs=1e-5)
    assert torch.allclose(model.logits([digit]), logits, rtol=1e-4, atol=1e-4)


def test_the_record_has_its_figures_and_its_card_is_rendered(run, capsys):
    folder, _ = run
    raw = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    record = RunRecord.load(folder)
    assert record.format_version == FORMAT_VERSION
    assert record.adapted.primary.value == raw["adapted"]["accuracy"]
    assert record.source_only.primary.value == raw["source_only"]["accuracy"]
    code, _, err = hubtl_command(["card", str(folder)], capsys)
    assert (code, err) == (0, "")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"{100 * raw['adapted']['accuracy']:.1f}%" in card
    assert "hubtl 0.1.0, torch" in card


@pytest.mark.slow
def test_its_recipe_is_planned_again_and_its_model_adapted_further(run, capsys):
    folder, _ = run
    written = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    out = ["--output-dir", str(folder.parent / "again"), "--dry-run", "--json"]
    code, said, err = hubtl_command(["adapt", str(folder / "recipe.yaml"), *out], capsys)
    assert code == 0, err
    planned = json.loads(said)["recipe"]
    for section in ("model", "optim", "strategy", "tuner", "task", "source", "target"):
        assert {key: planned[section].get(key) for key in written[section]} == written[section], section
    digits = ["--target-dataset", "builtin:digits/uci", "--strategy", "shot"]
    code, said, err = hubtl_command(["adapt", "--model", str(folder), *digits, *out], capsys)
    assert code == 0, err
    assert json.loads(said)["setting"] == "source-free"


def test_show_evaluate_and_push_take_the_folder(run, capsys):
    folder, _ = run
    rows = ["--dataset", "builtin:digits/uci", "--split", "test[:50]", "--json"]
    code, said, err = hubtl_command(["evaluate", str(folder), *rows], capsys)
    assert code == 0, err
    assert json.loads(said)["n"] == 50
    for line in (["show", str(folder)], ["push", str(folder), "user/x", "--dry-run"]):
        code, said, err = hubtl_command(line, capsys)
        assert code == 0, err
    assert "record.json" in said
