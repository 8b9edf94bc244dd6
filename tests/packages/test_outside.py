"""One outside package with strategy, task, modality and network. It goes from its wheel to the Hub and back."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value

from tests.hub.loopback import Hub, env_for, start
from tests.packages import clean

pytestmark = [pytest.mark.slow, pytest.mark.hub]

PACKAGE = Path(__file__).parents[1] / "modalities" / "outside"
REPO = "someone/counted-events"
ADAPT = (
    *("adapt", "--model", "sensor-conv", "--no-pretrained", "--task", "event-count", "--strategy", "feature-spread"),
    *("--source-dataset", "quiet", "--target-dataset", "loud", "--steps", "300", "--lr", "0.02", "--batch-size", "32"),
    *("--output-dir", "run", "--json"),
)
TAKEN = {
    ("strategy", "feature-spread"),
    ("task", "event-count"),
    ("backbone", "sensor-conv"),
    ("modality", "sensor"),
}


def recordings(folder: Path, n: int, seed: int, gain: float, drift: float) -> None:
    """Signals of 64 values with none to four bumps, and how many; another sensor has another gain and drift."""
    rng, time = np.random.default_rng(seed), np.arange(64)
    counts = rng.integers(0, 5, size=n)
    waves = []
    for count in counts:
        places = 8 * rng.permutation(8)[:count] + 4
        wave = sum((np.exp(-((time - place) ** 2) / 3) for place in places), np.zeros(64))
        waves.append((gain * wave + drift + 0.1 * rng.standard_normal(64)).astype(np.float32).tolist())
    features = Features({"wave": List(Value("float32")), "events": Value("int64")})
    folder.mkdir(parents=True)
    made = Dataset.from_dict({"wave": waves, "events": counts.tolist()}, features=features)
    for split, part in made.train_test_split(test_size=0.3, seed=0).items():
        part.to_parquet(folder / f"{split}.parquet")


class Machine:
    """A computer with hubtl's wheels, perhaps the outside package's too. It reaches the loopback Hub."""

    def __init__(self, env: clean.CleanEnvironment, hub: Hub, home: Path) -> None:
        self.env, self.home = env, home
        self.variables = {k: v for k, v in env_for(hub, home / "hf").items() if k.startswith(("HF_", "HUBTL_"))}

    def hubtl(self, *words: str, code: int = 0) -> str:
        done = self.env.run("hubtl", *words, cwd=self.home, check=False, **self.variables)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    def python(self, code: str) -> str:
        return self.env.run("python", "-c", code, cwd=self.home, **self.variables).stdout


@pytest.fixture(scope="module")
def hub():
    server = start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return clean.build(PACKAGE, tmp_path_factory.mktemp("outside") / "dist").wheel


def machine(built, hub, home: Path, *more: Path) -> Machine:
    env = clean.make(home / "environment")
    clean.install(env, built["hubtl"].wheel, *more)
    (home / "work").mkdir()
    return Machine(env, hub, home / "work")


@pytest.fixture(scope="module")
def author(built, hub, wheel, tmp_path_factory) -> Machine:
    """The machine on which a model is trained and pushed."""
    made = machine(built, hub, tmp_path_factory.mktemp("author"), wheel)
    recordings(made.home / "quiet", 300, 0, 1.0, 0.0)
    recordings(made.home / "loud", 300, 1, 1.6, 0.5)
    made.hubtl(*ADAPT)
    made.hubtl("push", "run", REPO)
    return made


@pytest.fixture(scope="module")
def reader(built, hub, author, tmp_path_factory) -> Machine:
    """Another machine, on which the outside package is not installed yet."""
    made = machine(built, hub, tmp_path_factory.mktemp("reader"))
    recordings(made.home / "rows", 40, 2, 1.6, 0.5)
    return made


def test_it_learns_to_count_and_adapting_helps(author):
    record = json.loads((author.home / "run" / "record.json").read_text())
    before, after = (record[name]["primary"]["value"] for name in ("source_only", "adapted"))
    assert record["source_only"]["source"] < 0.3, "it learnt the source: the mean error in events"
    assert after < before / 2
    assert record["adapted"]["primary"]["unit"] == "events"
    assert not any("on the source" in warning for warning in record["warnings"]), "a tenth of a small error is no loss"


def test_record_and_card_name_all_four_with_package_and_version(author):
    record = json.loads((author.home / "run" / "record.json").read_text())
    assert {(p["kind"], p["name"]) for p in record["plugins"]} == TAKEN
    assert {(p["package"], p["version"]) for p in record["plugins"]} == {("outside-sensor", "0.3.0")}
    facts = json.loads((author.home / "run" / "hubtl.json").read_text())
    assert facts["loader"] == {"name": "sensor-conv", "package": "outside-sensor", "version": "0.3.0"}
    card = (author.home / "run" / "README.md").read_text()
    for _, name in TAKEN:
        assert f"`{name}` of outside-sensor 0.3.0" in card
    assert "`pip install hubtl outside-sensor` first" in card
    assert "a signal of 64 values" in card
    assert "1 count shared" in card


def test_the_code_on_its_card_runs_as_it_is(author):
    card = (author.home / "run" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    answer = author.python(code.replace('hubtl.load(".")', 'hubtl.load("run")'))
    assert "'count': 0" in answer, "a flat signal has no events"


def test_the_hub_has_the_model_its_facts_and_its_card(author, hub):
    files = hub.files(REPO)
    assert {"README.md", "config.json", "hubtl.json", "model.safetensors", "record.json", "recipe.yaml"} <= set(files)
    assert files["model.safetensors"] == (author.home / "run" / "model.safetensors").read_bytes()


def test_another_machine_is_told_what_to_install_and_then_predicts_the_same(author, reader, wheel):
    said = reader.hubtl("predict", REPO, "rows/test.parquet", code=2)
    assert "outside-sensor" in said
    assert "pip install outside-sensor" in said
    pulled = reader.hubtl("pull", REPO, "--output-dir", "pulled")
    assert "which is not installed\ntry:   pip install outside-sensor\nnext: hubtl predict pulled DATASET\n" in pulled
    clean.install(reader.env, wheel)
    found = json.loads(reader.hubtl("predict", "pulled", "rows/test.parquet", "--json"))["predictions"]
    remote = json.loads(reader.hubtl("predict", REPO, "rows/test.parquet", "--json"))["predictions"]
    assert found == remote
    rows = Dataset.from_parquet(str(reader.home / "rows" / "test.parquet"))
    off = np.abs(np.array([one["count"] for one in found]) - np.array(rows["events"]))
    record = json.loads((author.home / "run" / "record.json").read_text())
    assert off.mean() == pytest.approx(record["adapted"]["primary"]["value"], abs=0.6)
    code = (
        "import json, hubtl; model = hubtl.load('pulled'); print([a.count for a in model.predict(json.loads(input()))])"
    )
    one = reader.env.run("python", "-c", code.replace("input()", f"'[{json.dumps(rows[0]['wave'])}]'"), cwd=reader.home)
    assert json.loads(one.stdout) == [found[0]["count"]]


def test_it_is_measured_and_adapted_further_there(reader):
    measured = json.loads(reader.hubtl("evaluate", "pulled", "--dataset", "rows", "--json"))
    assert measured["primary"]["name"] == "mean_error"
    again = json.loads(
        reader.hubtl(
            *("adapt", "--model", "pulled", "--task", "event-count", "--strategy", "finetune", "--steps", "5"),
            *("--target-dataset", "rows", "--output-dir", "further", "--json"),
        )
    )
    assert again["steps"] == 5
