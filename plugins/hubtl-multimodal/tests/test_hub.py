"""Models of several modalities go to the Hub and come back. Their encoders go with them, and they are as they were."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from trimodal import CLASSES, SMALL, adapting, row

import hubtl
from hubtl.record import RunRecord
from tests.hub.loopback import Hub, env_for, start

pytestmark = pytest.mark.hub

ROWS = [row(y, seed) for y in range(3) for seed in range(2)]
ENCODERS = {
    "image": {"config.json", "model.safetensors", "preprocessor_config.json"},
    "text": {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"},
    "audio": {"config.json", "model.safetensors", "preprocessor_config.json"},
}


@pytest.fixture(scope="module")
def hub():
    found = start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("client") / "home"


def typed(hub: Hub, home: Path, *words: object) -> subprocess.CompletedProcess:
    """A command in its own process, whose Hub is this one."""
    command = [sys.executable, "-m", "hubtl", *map(str, words)]
    done = subprocess.run(command, env=env_for(hub, home), capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def run(models, data, hub, home, tmp_path_factory) -> Path:
    """A short run, and the same on the Hub as user/three."""
    folder = tmp_path_factory.mktemp("hub-run") / "run"
    typed(hub, home, *adapting(models, data, folder, strategy="source-only", steps=20))
    (folder / "encoders" / "text" / "notes.txt").write_text("private")
    (folder / "encoders" / "text" / "pytorch_model.bin").write_bytes(b"pickle")
    typed(hub, home, "push", folder, "user/three")
    return folder


def test_each_encoders_folder_goes_with_the_model_and_nothing_else(run, hub):
    there = set(hub.files("user/three"))
    own = {"README.md", "config.json", "hubtl.json", "model.safetensors", "recipe.yaml", "record.json"}
    assert there == own | {f"encoders/{m}/{name}" for m, names in ENCODERS.items() for name in names}
    readme = hub.files("user/three")["README.md"].decode()
    assert 'hubtl.load("user/three")' in readme
    assert "pip install hubtl hubtl-multimodal" in readme


def test_a_pulled_model_gives_the_logits_of_the_pushed_one(run, hub, home, tmp_path):
    typed(hub, home, "pull", "user/three", "--output-dir", tmp_path / "pulled")
    before, after = (hubtl.load(folder, device="cpu").logits(ROWS) for folder in (run, tmp_path / "pulled"))
    assert before.equal(after)
    assert hubtl.load(tmp_path / "pulled").classes == CLASSES


def test_the_hub_id_predicts_as_the_folder_does(run, hub, home):
    done = typed(hub, home, "predict", "user/three", "text=the film was bad", "--json")
    (said,) = json.loads(done.stdout)["predictions"]
    (wanted,) = hubtl.load(run, device="cpu").predict({"text": "the film was bad"})
    assert said["label"] == wanted.label
    assert said["confidence"] == pytest.approx(wanted.confidence, abs=1e-5)


@pytest.mark.parametrize("way", ["folder", "id"])
def test_a_pulled_model_goes_on_learning(run, hub, home, data, tmp_path, way):
    name: object = "user/three"
    if way == "folder":
        name = tmp_path / "pulled"
        typed(hub, home, "pull", "user/three", "--output-dir", name)
    command = ["adapt", "--model", name, "--source-dataset", data / "source", "--target-dataset", data / "target"]
    command += ["--strategy", "source-only", "--steps", "2", "--batch-size", "8", "--device", "cpu", "--quiet"]
    command += ["--set", "run.plots=false", "--set", "model.text_tune=freeze", "--output-dir", tmp_path / "more"]
    typed(hub, home, *command)
    more = RunRecord.load(tmp_path / "more")
    assert list(more.model.parts) == ["image", "text", "audio"]
    assert more.model.input["options"]["width"] == int(SMALL[0].split("=")[1])
    for modality in ("image", "text", "audio"):
        one, other = (f / "encoders" / modality / "model.safetensors" for f in (run, tmp_path / "more"))
        assert (one.read_bytes() == other.read_bytes()) == (modality == "text")
    if way == "id":
        assert more.model.base_model == "user/three"
        assert more.model.revision == hub.repos["user/three"].refs["main"]
        typed(hub, home, "adapt", "--model", "hf-hub:user/three", "--target-dataset", data / "target", "--strategy",
              "shot", "--steps", "1", "--batch-size", "8", "--device", "cpu", "--quiet", "--set", "run.plots=false",
              "--output-dir", tmp_path / "shot")  # fmt: skip
