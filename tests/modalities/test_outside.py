"""A modality and a network of an unknown package: trained, measured, explained, and loaded again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parent / "outside"
KINDS = ("slow", "fast", "bump")
CLEAN = """
import json
import hubtl
model = hubtl.load("run")
rows = json.load(open("rows.json"))
print(json.dumps([answer.label for answer in model.predict(rows)]))
"""


def signals(folder: Path, n: int, seed: int, shift: float) -> None:
    """Signals of three kinds; those of the other sensor are louder and lie higher."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, 64)
    labels = rng.integers(len(KINDS), size=n)
    shapes = {0: np.sin(2 * np.pi * 2 * time), 1: np.sin(2 * np.pi * 9 * time), 2: 2 * np.exp(-200 * (time - 0.8) ** 2)}
    rows = [(1 + shift) * np.roll(shapes[int(y)], rng.integers(-4, 5)) + shift for y in labels]
    rows = [(row + 0.2 * rng.standard_normal(64)).astype(np.float32).tolist() for row in rows]
    features = Features({"wave": List(Value("float32")), "label": ClassLabel(names=list(KINDS))})
    folder.mkdir(parents=True, exist_ok=True)
    made = Dataset.from_dict({"wave": rows, "label": labels.tolist()}, features=features)
    for split, part in made.train_test_split(test_size=0.3, seed=0).items():
        part.to_parquet(folder / f"{split}.parquet")


@pytest.fixture(scope="module")
def outside(tmp_path_factory) -> dict[str, str]:
    """The environment of a machine on which the package's wheel is installed."""
    home = tmp_path_factory.mktemp("outside")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    how = ["--no-deps", "--no-index"]
    wheel = ["wheel", *how, "--no-build-isolation", "--wheel-dir", str(home / "dist"), str(PACKAGE)]
    subprocess.run([*pip, *wheel], check=True)
    (built,) = (home / "dist").glob("outside_sensor-0.3.0-*.whl")
    subprocess.run([*pip, "install", *how, "--target", str(home / "site"), str(built)], check=True)
    path = [str(home / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def asked(environment, cwd, *arguments: str, code: int = 0) -> str:
    line = [sys.executable, "-m", "hubtl", *arguments]
    done = subprocess.run(line, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def adapting(model: str, *more: str) -> tuple[str, ...]:
    return (
        *("adapt", "--model", model, "--source-dataset", "one", "--target-dataset", "other", "--strategy", "coral"),
        *("--steps", "120", "--lr", "0.05", "--batch-size", "24", "--json", *more),
    )


@pytest.fixture(scope="module")
def run(outside, tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("sensors")
    signals(home / "one", 240, 0, 0.0)
    signals(home / "other", 240, 1, 0.6)
    asked(
        outside, home, *adapting("sensor-conv", "--no-pretrained", "--set", "model.channels=8", "--output-dir", "run")
    )
    return home / "run"


def test_it_is_listed_with_its_package(outside, tmp_path):
    assert "sensor  (outside-sensor 0.3.0)" in asked(outside, tmp_path, "list", "modalities")


def test_it_learns_and_its_record_and_model_name_package_and_version(run):
    record = json.loads((run / "record.json").read_text())
    assert record["source_only"]["source"] > 0.8, "it learnt the source"
    assert record["adapted"]["primary"]["value"] > 1 / 3
    assert (record["model"]["modalities"], record["source"]["columns"]["sensor"]) == (["sensor"], "wave")
    taking_part = [(p["kind"], p["name"], p["package"], p["version"]) for p in record["plugins"]]
    assert ("backbone", "sensor-conv", "outside-sensor", "0.3.0") in taking_part
    assert ("modality", "sensor", "outside-sensor", "0.3.0") in taking_part
    facts = json.loads((run / "hubtl.json").read_text())
    assert facts["loader"] == {"name": "sensor-conv", "package": "outside-sensor", "version": "0.3.0"}


def test_its_card_says_what_to_install_and_what_it_takes(run):
    card = (run / "README.md").read_text()
    assert "`pip install hubtl outside-sensor` first" in card
    assert "sensor-conv` of outside-sensor 0.3.0" in card
    assert "a signal of 64 values" in card


def test_its_onnx_file_answers_as_hubtl_does(run, outside):
    onnxruntime = pytest.importorskip("onnxruntime")
    home = run.parent
    told = json.loads(asked(outside, home, "export", "run", "run.onnx", "--onnx", "--json"))
    assert told["inputs"] == {"sensor": {"shape": ["batch", 64], "dtype": "float32"}}
    assert told["preprocessing"] == {"sensor": {"reader": "outside_sensor.reading.SensorReader"}}
    words = ("other/test.parquet", "--column", "sensor=wave", "--json")
    found = json.loads(asked(outside, home, "predict", "run", *words))["predictions"]
    rows = np.array(Dataset.from_parquet(str(home / "other" / "test.parquet"))["wave"], dtype=np.float32)
    (logits,) = onnxruntime.InferenceSession(str(home / "run.onnx")).run(None, {"sensor": rows})
    assert [told["answers"]["names"][i] for i in logits.argmax(axis=1)] == [row["label"] for row in found]


def test_it_is_measured_predicts_is_explained_and_goes_on(run, outside):
    home = run.parent
    record = json.loads((run / "record.json").read_text())
    shown = json.loads(asked(outside, home, "evaluate", "run", "--dataset", "other", "--json"))
    assert shown["accuracy"] == pytest.approx(record["adapted"]["primary"]["value"])
    words = ("other/test.parquet", "--column", "sensor=wave", "--json")
    found = json.loads(asked(outside, home, "predict", "run", *words))["predictions"]
    rows = Dataset.from_parquet(str(home / "other" / "test.parquet"))
    assert len(found) == len(rows)
    right = np.mean([one["label"] == KINDS[row["label"]] for one, row in zip(found, rows, strict=True)])
    assert right == pytest.approx(shown["accuracy"])
    (home / "rows.json").write_text(json.dumps([{"sensor": row["wave"]} for row in rows.select(range(5))]))
    done = subprocess.run(
        [sys.executable, "-c", CLEAN], env=outside, cwd=home, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [one["label"] for one in found[:5]]
    why = json.loads(asked(outside, home, "explain", "run", *words, "--row", "1", "-o", "why"))
    assert (len(why["relevance"]["sensor"]), why["label"]) == (8, found[1]["label"])
    assert (home / "why" / "explanation.png").stat().st_size > 10_000
    again = json.loads(asked(outside, home, *adapting("run", "--dry-run")))
    assert again["recipe"]["model"]["pretrained"] is True


def test_a_row_that_is_no_signal_is_one_error_with_its_number_or_left_out(run, outside):
    home = run.parent
    rows = {"wave": [[0.0] * 64, [1.0] * 9], "label": ["slow", "fast"]}
    Dataset.from_dict(rows).to_parquet(home / "odd.parquet")
    said = asked(outside, home, "predict", "run", "odd.parquet", code=2)
    assert "cannot read row 1" in said
    assert "no signal of 64 finite values" in said
    kept = json.loads(asked(outside, home, "predict", "run", "odd.parquet", "--on-bad-sample", "skip", "--json"))
    assert [one["input"] for one in kept["predictions"]] == ["row 0"]


def test_without_its_package_one_error_names_it(run):
    for words in (("predict", "run", "other/test.parquet"), adapting("run")):
        said = asked({**os.environ}, run.parent, *words, code=2)
        assert "outside-sensor" in said
        assert "pip install outside-sensor" in said


def test_a_loader_that_opens_nothing_is_refused_before_anything_is_trained(outside, run):
    home = run.parent
    site = home / "site"
    info = site / "half_sensor-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: half-sensor\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hubtl.backbones]\nhalf = half_sensor:Half\n")
    (site / "half_sensor.py").write_text(
        "from hubtl.backbones.loader import Loader\n"
        "from outside_sensor.network import SensorLoader, SensorNet\n"
        "class HalfNet(SensorNet): pass\n"
        "class Half(Loader):\n"
        "    modalities = ('sensor',)\n"
        "    def load(self, name, request):\n"
        "        return HalfNet(SensorLoader.Options())\n"
    )
    environment = {**outside, "PYTHONPATH": os.pathsep.join([str(site), outside["PYTHONPATH"]])}
    said = asked(environment, home, *adapting("half", "--no-pretrained", "--output-dir", "half"), code=2)
    assert "HalfNet of half-sensor 1.0 could not be loaded again once it is saved: its loader has no rebuild" in said
    assert not (home / "half").exists()
