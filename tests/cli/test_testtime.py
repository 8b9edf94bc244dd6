"""``--tta`` of predict and evaluate: every method, its options, and mistakes."""

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
from hubtl.modules import Bottleneck, Encoder, fold
from hubtl.studies.evaluate import later, measure
from hubtl.testtime.tent import Tent

METHODS = {
    "bn": "alpha=0.5",
    "tent": "lr=1e-2",
    "eata": "entropy_margin=0.9",
    "sar": "rho=0.1",
    "cotta": "views=2",
    "roid": "prior=false",
}
DIGITS = "builtin:digits/uci"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A little ResNet of ten digits, in timm's format; its BatchNorms have seen noise."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tta") / "model"
    digits = [str(i) for i in range(10)]
    backbone = backbones.resolve("test_resnet", BackboneRequest(digits, pretrained=False, image_size=32))
    with torch.no_grad():
        for _ in range(20):
            backbone.train()({"image": torch.randn(8, 3, 32, 32)})
    meta = {"task": "classification", "strategy": "none", "base_model": None, "revision": None}
    api.save(folder, backbone.eval(), nn.Linear(backbone.info.width, 10), digits, meta)
    return folder


@pytest.fixture
def photos(tmp_path):
    random = np.random.default_rng(0)
    for i in range(9):
        Image.fromarray(random.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    return tmp_path


@pytest.fixture
def hubtl(monkeypatch, capsys):
    """The command line, in this process: exit code, stdout, stderr."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["hubtl", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            run()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return stopped.value.code or 0, said.out, said.err

    return call


@pytest.mark.parametrize("method", METHODS)
def test_predict_adapts_and_counts(hubtl, model, photos, method):
    words = ("predict", model, photos, "--batch-size", "4", "--json")
    code, out, _ = hubtl(*words, "--tta", method, "--tta-reset-every", "1")
    assert code == 0
    found = json.loads(out)
    assert [row["input"].rsplit("/")[-1] for row in found["predictions"]] == [f"{i}.png" for i in range(9)]
    stats = found["tta"]["stats"]
    assert (stats["batches"], stats["rows"], stats["resets"] - stats["collapses"]) == (2, 9, 1)
    plain = json.loads(hubtl(*words)[1])
    assert "tta" not in plain
    assert [r["confidence"] for r in plain["predictions"]] != [r["confidence"] for r in found["predictions"]]


@pytest.mark.parametrize("method", METHODS)
def test_evaluate_puts_the_online_accuracy_beside_the_frozen_one(hubtl, model, method, tmp_path):
    code, out, _ = hubtl(
        "evaluate", model, "--dataset", DIGITS, "--tta", method, "--tta-set", METHODS[method],
        "--tta-reset-every", "2", "--tta-set", "guard=0", "--batch-size", "100", "--json",
        "--output", tmp_path / "figures.json",
    )  # fmt: skip
    assert code == 0
    found = json.loads(out)
    assert found == json.loads((tmp_path / "figures.json").read_text())
    assert found["frozen_accuracy"] == pytest.approx(measure(str(model), DIGITS).accuracy)
    assert found["online_accuracy"] == found["online"]["accuracy"]
    assert found["online"]["n"] == found["frozen"]["n"] == found["stats"]["rows"] == 600
    assert (found["method"], found["reset_every"], found["stats"]["batches"]) == (method, 2, 6)
    if method != "sar":  # which has a guard of its own
        assert (found["stats"]["collapses"], found["stats"]["resets"]) == (0, 2)


def test_evaluate_prints_a_table_and_what_happened(hubtl, model):
    code, out, _ = hubtl("evaluate", model, "--dataset", DIGITS, "--tta", "tent", "--batch-size", "100")
    assert code == 0
    assert "frozen" in out
    assert "tent, online" in out
    assert "600 rows in 6 batches" in out
    assert "resets: " in out


class Remembers(Tent):
    """Notes what it is asked, and learns fast. Any peek would show."""

    asked: list[int] = []

    def predict(self, inputs):
        Remembers.asked.append(len(inputs["image"]))
        return super().predict(inputs)


def test_batches_are_scored_before_they_are_learnt_from_and_no_row_stands_alone(model, monkeypatch):
    """With one batch for all there is nothing to learn from before: online is BN-1 exactly."""
    one = later(str(model), DIGITS, tta="tent", options={"lr": 0.5, "guard": 0.0}, batch_size=1000)
    still = later(str(model), DIGITS, tta="bn", batch_size=1000)
    assert one.online.figures.confusion == still.online.figures.confusion
    monkeypatch.setattr(api.AdaptedModel, "test_time", lambda self, name, options: Remembers(self.classifier))
    later(str(model), DIGITS, tta="tent", batch_size=599)
    assert Remembers.asked == [600]


def test_the_order_is_drawn_and_can_be_the_datasets(model):
    drawn, again, other, own = (
        later(str(model), DIGITS, tta="tent", options={"lr": 0.05}, batch_size=50, seed=seed)
        for seed in (0, 0, 1, None)
    )
    assert drawn.online.figures.confusion == again.online.figures.confusion
    assert drawn.figures.confusion == other.figures.confusion == own.figures.confusion
    assert drawn.online.figures.confusion != other.online.figures.confusion


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["--tta", "tnet"], "unknown test-time method 'tnet'", "tent"),
        (["--tta", "tent", "--tta-set", "speed=1"], "Tent option speed", "one of: reset_every, guard, lr"),
        (["--tta", "tent", "--tta-set", "lr=fast"], "Tent option lr", "one of: "),
        (["--tta", "tent", "--tta-set", "lr"], "--tta-set takes key=value", "for example"),
        (["--tta", "tent", "--tta-reset-every", "-1"], "'--tta-reset-every'", "--help"),
        (["--tta-set", "lr=1"], "options of a method", "--tta tent"),
        (["--tta-reset-every", "3"], "options of a method", "--tta tent"),
    ],
)
def test_mistakes_are_two_lines_and_exit_code_2(hubtl, model, photos, command, words, said, hint):
    rest = [photos] if command == "predict" else ["--dataset", DIGITS]
    code, out, err = hubtl(command, model, *rest, *words)
    assert (code, out) == (2, "")
    assert "error: " in err
    assert said in err
    assert "try: " in err
    assert hint in err


def test_a_model_without_norms_is_refused(tmp_path, hubtl):
    digits = [str(i) for i in range(10)]
    backbone = backbones.resolve("lenet", BackboneRequest(digits, pretrained=False)).eval()
    head = fold(Encoder(backbone, Bottleneck(500, 8)).eval().bottleneck, nn.Linear(8, 10))
    meta = {"task": "classification", "strategy": "none", "base_model": None, "revision": None}
    api.save(tmp_path / "lenet", backbone, head, digits, meta)
    for method in ("bn", "tent"):
        code, _, err = hubtl("evaluate", tmp_path / "lenet", "--dataset", DIGITS, "--tta", method)
        assert code == 2
        assert "this model has none" in err
    with pytest.raises(HubtlError, match="this model has none"):
        api.load(tmp_path / "lenet").test_time("sar")
