"""Every entry-point group has an example that works from outside. It is in docs/plugins.md."""

import json
import re
import tomllib
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from hubtl import backbones, plugins
from hubtl.backbones.base import BackboneRequest
from hubtl.models import saved
from hubtl.record import RunRecord
from hubtl.tuners import Tuner
from tests.tiny import hubtl_command

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
TRY = ["--steps", "2", "--batch-size", "4", "--image-size", "16", "--quiet", "--set", "run.plots=false"]


def block(*names):
    """The page's code that defines some names, as one module."""
    found = [
        text for text in BLOCKS if any(re.search(rf"^(class|def) {name}\b", text, flags=re.MULTILINE) for name in names)
    ]
    assert len(found) == len(names), names
    return "from pydantic import Field\nfrom hubtl import Tuner\n" + "\n".join(found)


@pytest.fixture(autouse=True)
def clean():
    yield
    plugins._registered.clear()
    plugins.entries.cache_clear()
    plugins._combined.cache_clear()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    home = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for domain in ("source", "target"):
        for level, name in enumerate(("dark", "light")):
            (home / domain / name).mkdir(parents=True)
            for i in range(8):
                pixels = (rng.integers(0, 60, (16, 16)) + 180 * level).astype(np.uint8)
                Image.fromarray(pixels).save(home / domain / name / f"{i}.png")
    return home


def test_every_group_is_in_the_table_with_an_example_and_a_heading():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for group in project["entry-points"]:
        line = next((text for text in PAGE.splitlines() if text.startswith(f"| `{group}` |")), None)
        assert line is not None, f"{group} is not in the table"
        anchor = re.search(r"\]\(#([\w-]+)\)", line)[1]
        assert f"## {anchor.replace('-', ' ')}" in PAGE.lower().replace("test-time", "test time"), anchor


def test_the_pages_strategy_tuner_validator_loader_and_test_time_method_make_a_run(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOUSE_MODELS", str(tmp_path / "models"))
    torch.manual_seed(0)
    backbone = backbones.resolve("lenet", BackboneRequest(["x", "y"], pretrained=False, image_size=16))
    head = torch.nn.Linear(backbone.info.width, 2)
    saved.save(tmp_path / "models" / "scanner", backbone, head, ["x", "y"], {"task": "classification"})
    (tmp_path / "house.py").write_text(block("MinimaxEntropy", "HeadFirst", "LastBlock", "Margin", "House", "Balanced"))
    file = ["--plugin", str(tmp_path / "house.py")]
    line = ["adapt", "--model", "house:scanner", "--strategy", "head-first", "--tuner", "last-block"]
    line += [
        "--validator",
        "margin",
        "--source-dataset",
        str(data / "source"),
        "--target-dataset",
        str(data / "target"),
    ]
    code, _, err = hubtl_command([*line, *TRY, *file, "--output-dir", str(tmp_path / "run")], capsys)
    assert code == 0, err
    record = RunRecord.load(tmp_path / "run")
    assert {(p.kind, p.name) for p in record.plugins} == {
        ("strategy", "head-first"),
        ("tuner", "last-block"),
        ("validator", "margin"),
        ("backbone", "house"),
    }
    assert [phase.name for phase in record.training.phases] == ["warm", "adapt"]
    asked = [
        "evaluate",
        str(tmp_path / "run"),
        "--dataset",
        str(data / "target"),
        "--tta",
        "balanced",
        "--record",
        *file,
    ]
    code, out, err = hubtl_command([*asked, "--json", "--tta-set", "guard=0"], capsys)
    assert code == 0, err
    assert json.loads(out)["method"] == "balanced"
    assert ("test-time method", "balanced") in {(p.kind, p.name) for p in RunRecord.load(tmp_path / "run").plugins}


NETWORK = """
from hubtl import Backbone, Features
from hubtl.backbones import own
from hubtl.backbones.base import BackboneInfo
from hubtl.backbones.loader import Loader
from hubtl.backbones.writer import write


class Spec:
    def as_dict(self):
        return {"length": 64}


class Net(Backbone):
    native, classifier_name = False, "classifier"

    def __init__(self):
        super().__init__()
        self.readers = {"sensor": SensorReader()}
        self.layer = torch.nn.Linear(64, 16)
        facts = {"library": "hubtl", "architecture": "sensor-net", "width": 16, "input": Spec(), "pretrained": False}
        self.info = BackboneInfo(name="sensor-net", modalities=("sensor",), **facts)

    def forward(self, inputs, present=None):
        return Features(torch.relu(self.layer(inputs["sensor"])))

    def blocks(self):
        return [("layer", list(self.layer.parameters()))]

    def lora_targets(self):
        return ["layer"]

    def save(self, folder, classifier, names, meta):
        whole = Net()
        whole.load_state_dict(self.state_dict())
        whole.classifier = classifier
        write(folder, "sensor-net", self.info, whole, names, meta)

    def snippet(self, where):
        return "import hubtl"


class SensorNet(Loader):
    'Load a linear layer for signals.'
    modalities = ("sensor",)

    def load(self, name, request):
        return Net()

    def rebuild(self, folder, outputs, request=None):
        return own.rebuilt(folder, outputs, request, lambda asked: self.load("sensor-net", asked))
"""


def signals(path, n, seed):
    """A table of signals that rise or fall."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    rows = np.linspace(-1, 1, 64)[None] * (2 * labels - 1)[:, None] + 0.3 * rng.standard_normal((n, 64))
    table = {"wave": rows.tolist(), "label": [("falls", "rises")[label] for label in labels]}
    path.parent.mkdir(exist_ok=True)
    datasets.Dataset.from_dict(table).to_parquet(path)


def test_the_pages_modality_and_reader_stand_their_suite_and_make_a_run(tmp_path, capsys):
    (tmp_path / "sensors.py").write_text(block("Sensor", "SensorReader") + NETWORK)
    file = ["--plugin", str(tmp_path / "sensors.py")]
    code, out, err = hubtl_command(["plugin", "check", *file], capsys)
    assert (code, "FAIL" in out) == (0, False), out + err
    for name, seed in (("source", 0), ("target", 1)):
        signals(tmp_path / name / "train.parquet", 32, seed)
        signals(tmp_path / name / "test.parquet", 16, seed + 2)
    line = ["adapt", "--model", "sensor-net", "--no-pretrained", "--strategy", "coral", *TRY[:4], *TRY[6:], *file]
    line += ["--source-dataset", str(tmp_path / "source"), "--target-dataset", str(tmp_path / "target")]
    code, _, err = hubtl_command([*line, "--output-dir", str(tmp_path / "run")], capsys)
    assert code == 0, err
    record = RunRecord.load(tmp_path / "run")
    assert {(p.kind, p.name) for p in record.plugins} == {("modality", "sensor"), ("backbone", "sensor-net")}
    wave = ["predict", str(tmp_path / "run"), str(tmp_path / "target" / "test.parquet"), "--json", *file]
    code, out, err = hubtl_command(wave, capsys)
    assert code == 0, err
    assert len(json.loads(out)["predictions"]) == 16
    for gone in (plugins._registered,):
        gone.clear()
    plugins.entries.cache_clear()
    code, _, err = hubtl_command(wave[:-2], capsys)
    assert (code, "sensors.py" in err, "--plugin sensors.py" in err) == (2, True, True), err


def test_the_pages_figures_of_a_task_are_figures(tmp_path):
    space = {}
    exec(block("RankFigures"), space)
    made = space["RankFigures"](steps_off=1.5)
    again = space["RankFigures"].model_validate_json(made.model_dump_json())
    assert (again.primary().name, again.primary().value, again.primary().higher_is_better) == ("steps_off", 1.5, False)
    assert [metric.unit for metric in again.rows()] == ["steps"]


def test_the_loader_of_several_modalities_is_registered_as_the_page_says():
    project = tomllib.loads((ROOT / "plugins" / "hubtl-multimodal" / "pyproject.toml").read_text(encoding="utf-8"))
    points = project["project"]["entry-points"]
    ((name, value),) = points["hubtl.fusions"].items()
    assert points["hubtl.backbones"][name] == value
    assert plugins.fusions() in ([], [name])


def test_the_pages_combiner_of_another_package_makes_tuners_sums(install, data, tmp_path, capsys):
    install("sums", {"tuners": "combine"}, source=block("combine"), group="hubtl.combiners")
    line = ["adapt", "--model", "lenet", "--no-pretrained", "--strategy", "coral", "--tuner", "first-n+bias"]
    line += ["--source-dataset", str(data / "source"), "--target-dataset", str(data / "target")]
    code, _, err = hubtl_command([*line, *TRY, "--output-dir", str(tmp_path / "run")], capsys)
    assert code == 0, err
    record = RunRecord.load(tmp_path / "run")
    assert record.model.tuner == "first-n+bias"
    assert [(p.kind, p.name, p.package) for p in record.plugins] == [("combiner", "tuners", "sums")]
    whole = plugins.load("tuners", "first-n+bias")
    assert issubclass(whole, Tuner)
    backbone = backbones.resolve("lenet", BackboneRequest(["a", "b"], pretrained=False))
    whole().apply(backbone)
    frozen = {name for name, parameter in backbone.named_parameters() if not parameter.requires_grad}
    assert frozen == {"convolutions.0.weight"}


def test_tuners_are_not_combined_without_a_combiner(data, tmp_path, capsys):
    line = [
        "adapt",
        "--model",
        "lenet",
        "--no-pretrained",
        "--tuner",
        "head+bias",
        "--target-dataset",
        str(data / "target"),
    ]
    code, _, err = hubtl_command([*line, "--output-dir", str(tmp_path / "run")], capsys)
    assert (code, "unknown tuner 'head+bias'" in err) == (2, True)
