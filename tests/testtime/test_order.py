"""Test time: rows are met in a drawn order and answered in the asked one; a stream that misleads is said to be one."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.cli.app import run
from hubtl.errors import HubtlError
from hubtl.models import saved as api
from hubtl.studies.evaluate import later
from hubtl.testtime.order import Witness, batches_of, order_of

CLASSES = ["east", "north", "south", "west"]
PLACES = {"east": (8, 24), "north": (0, 8), "south": (24, 8), "west": (8, 0)}


def picture(name, random, dark=False):
    """Noise with a brighter corner, which is its class; in the dark, all of it at a fifth of the contrast."""
    image = random.integers(60, 140, (32, 32, 3)).astype(float)
    y, x = PLACES[name]
    image[y : y + 12, x : x + 12] += 60
    return np.clip(image / 4 + 120 if dark else image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A little ResNet that knows the corners in daylight."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    backbone = backbones.resolve("test_resnet", BackboneRequest(CLASSES, pretrained=False, image_size=32)).train()
    head = nn.Linear(backbone.info.width, 4)
    optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=3e-3)
    spec = backbone.info.input
    mean, std = (torch.tensor(x).view(-1, 1, 1) for x in (spec.mean, spec.std))
    for _ in range(60):
        y = random.integers(0, 4, 32)
        x = np.stack([picture(CLASSES[c], random) for c in y]).transpose(0, 3, 1, 2)
        inputs = (torch.from_numpy(x).float() / 255 - mean) / std
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(backbone({"image": inputs}).pooled), torch.from_numpy(y)).backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("model") / "model"
    meta = {"task": "classification", "strategy": "none", "base_model": None, "revision": None}
    api.save(folder, backbone.eval(), head, CLASSES, meta)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of images in the dark, a folder for each class: sorted by class, as folders are."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(1)
    for name in CLASSES:
        (folder / name).mkdir()
        for i in range(24):
            Image.fromarray(picture(name, random, dark=True)).save(folder / name / f"{i:02}.png")
    return folder


def right(predictions):
    return np.mean([p.label == p.input.split("/")[-2] for p in predictions])


@pytest.mark.parametrize("method", ["bn", "tent"])
def test_a_folder_sorted_by_class_does_not_spoil_what_adapts_to_it(model, photos, method):
    loaded = api.load(model)
    sorted_, drawn, other = (loaded.predict(photos, batch_size=12, tta=method, tta_seed=seed) for seed in (None, 0, 1))
    assert [p.input for p in drawn] == [p.input for p in sorted_] == sorted(p.input for p in drawn)
    assert right(drawn) > right(sorted_) + 0.2
    assert right(other) > right(sorted_) + 0.2
    assert right(drawn) >= right(loaded.predict(photos)) - 0.05
    assert [p.confidence for p in drawn] != [p.confidence for p in other]


def test_a_stream_that_is_sorted_by_class_is_said_to_be(model, photos, monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["hubtl", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            run()
        return stopped.value.code or 0, *capsys.readouterr()

    words = ("predict", model, photos, "--tta", "bn", "--batch-size", "12")
    code, out, err = call(*words, "--tta-stream", "--json")
    found = json.loads(out)["tta"]
    assert code == 0
    assert found["seed"] is None
    assert "sorted by class" in found["stats"]["warnings"][0]
    assert "sorted by class" in err
    found = json.loads(call(*words, "--json")[1])["tta"]
    assert (found["seed"], found["stats"]["warnings"]) == (0, [])
    assert json.loads(call(*words, "--tta-seed", "7", "--json")[1])["tta"]["seed"] == 7
    shuffled = [str(p) for p in sorted(photos.rglob("*.png"), key=lambda p: p.name)]
    assert (
        json.loads(call(*("predict", model, *shuffled), *words[3:], "--tta-stream", "--json")[1])["tta"]["stats"][
            "warnings"
        ]
        == []
    )
    for command in (words, ("evaluate", model, "--dataset", photos, "--tta", "bn")):
        code, out, err = call(*command, "--tta-stream", "--tta-seed", "0")
        assert (code, out) == (2, "")
        assert "--tta-stream keeps the order" in err
        code, _, err = call(*command, "--tta-seed", "-1")
        assert code == 2
        assert "--tta-seed" in err
    for flag in (["--tta-seed", "0"], ["--tta-stream"]):
        code, _, err = call("predict", model, photos, *flag)
        assert code == 2
        assert f"{flag[0]}: options of a method" in err


def test_evaluate_draws_and_says_as_predict_does(model, photos):
    figures = {
        seed: later(str(model), str(photos), split="train", tta="bn", seed=seed, batch_size=12).online
        for seed in (None, 0)
    }
    assert figures[0].figures.accuracy > figures[None].figures.accuracy + 0.2
    assert figures[0].warnings == []
    assert "sorted by class" in figures[None].warnings[0]
    drawn = api.load(model).predict(photos, tta="bn", batch_size=12)
    assert figures[0].figures.accuracy == pytest.approx(right(drawn), abs=0.05)


def test_an_unreadable_file_is_left_out_of_a_drawn_order_too(model, photos, tmp_path):
    files = [str(p) for p in sorted(photos.rglob("0*.png"))]
    (tmp_path / "broken.png").write_bytes(b"not an image")
    mixed = [*files[:5], str(tmp_path / "broken.png"), *files[5:]]
    loaded = api.load(model)
    found = loaded.predict(mixed, batch_size=4, tta="bn", on_bad_sample="skip")
    assert [p.input for p in found] == files
    with pytest.raises(HubtlError, match=r"broken\.png"):
        loaded.predict(mixed, batch_size=4, tta="bn")


@pytest.mark.parametrize("n", [2, 3, 12, 13, 14, 25])
def test_no_row_stands_alone_whatever_the_number(model, n):
    """BatchNorm needs two rows; predict and evaluate cut the same batches."""
    arrays = np.random.default_rng(2).integers(0, 255, (n, 32, 32, 3), dtype=np.uint8)
    loaded = api.load(model)
    for seed in (0, None):
        adapting = loaded.test_time("bn")
        found = loaded.predict(arrays, batch_size=12, tta=adapting, tta_seed=seed)
        assert [p.input for p in found] == [f"array {i}" for i in range(n)]
        assert adapting.stats.batches == len(batches_of(np.arange(n), 12))
        assert sorted(np.concatenate(batches_of(order_of(n, seed), 12)).tolist()) == list(range(n))


def said(classes, predicted, answers=None):
    witness, logits = Witness(classes), torch.eye(classes)
    witness.see(logits[torch.tensor(predicted if answers is None else answers)], logits[torch.tensor(predicted)])
    return witness.said()


def test_the_witness_knows_runs_and_collapse_from_chance():
    random = np.random.default_rng(0)
    assert said(4, np.repeat(range(4), 30).tolist()) != []
    assert said(100, np.repeat(range(100), 2).tolist()) != []
    noisy = np.where(random.random(400) < 0.4, random.integers(0, 4, 400), np.repeat(range(4), 100))
    assert "sorted by class" in said(4, noisy.tolist())[0]
    for seed in range(20):
        drawn = np.random.default_rng(seed)
        assert said(4, drawn.integers(0, 4, 200).tolist()) == []
        assert said(3, drawn.choice(3, 200, p=[0.4, 0.4, 0.2]).tolist()) == []
    assert "look collapsed" in said(10, list(range(10)) * 8, [1] * 70 + [0] * 10)[0]
    assert said(4, [0, 0, 1, 1, 2, 2]) == []  # too few to tell
