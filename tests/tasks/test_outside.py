"""A task of a package that hubtl has never heard of: trained, judged, carded, saved, loaded, and asked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hubtl.card import render
from hubtl.record import RunRecord

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parent / "outside"
ROWS = ["--source-split", "train[:600]", "--target-split", "train[:300]", "--target-eval-split", "test[:200]"]
RUN = [
    *("adapt", "--task", "ranks", "--model", "lenet", "--no-pretrained", "--source-dataset", "builtin:digits/mnist"),
    *(
        "--target-dataset",
        "builtin:digits/uci",
        *ROWS,
        "--steps",
        "120",
        "--lr",
        "0.05",
        "--output-dir",
        "run",
        "--json",
    ),
]
CLEAN = """
import json, sys
import hubtl
model = hubtl.load("run")
answer = model.predict("digit.png")[0]
outputs = len(model.task.outputs.names)
print(json.dumps({"type": type(answer).__name__, "rank": answer.rank, "task": model.task.name, "outputs": outputs}))
"""


@pytest.fixture(scope="module")
def outside(tmp_path_factory) -> dict[str, str]:
    """The environment of a machine on which the package's wheel is installed."""
    home = tmp_path_factory.mktemp("outside")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(home / "dist"),
        str(PACKAGE),
    ]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = (home / "dist").glob("outside_ranks-0.3.0-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(home / "site"), str(wheel)], check=True)
    path = [str(home / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


@pytest.fixture(scope="module")
def run(outside, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    planned = json.loads(asked(outside, folder, *RUN, "--dry-run"))
    assert planned["strategy"] == "coral", "what the task picks for auto"
    asked(outside, folder, *RUN, "--strategy", "coral")
    return folder / "run"


def asked(environment, cwd, *arguments: str, code: int = 0) -> str:
    line = [sys.executable, "-m", "hubtl", *arguments]
    done = subprocess.run(line, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_it_learns_and_its_record_has_its_figures(run):
    record = json.loads((run / "record.json").read_text())
    assert (record["task"], record["format_version"]) == ("ranks", 2)
    for model in (record["source_only"], record["adapted"]):
        assert model["primary"]["name"] == "steps_off"
        assert model["figures"]["task"] == "ranks"
        assert model["primary"]["value"] < 2.5, "the best constant is 2.5 steps off"
    assert record["adapted"]["source"] < 1.5, "it learnt the source"
    assert set(record["adapted"]["scores"]) == {"source-score", "dev"}


def test_its_card_says_it_in_its_words(run):
    card = (run / "README.md").read_text()
    assert "| target steps off | source-only | adapted | difference |" in card
    assert "### By rank" in card
    assert "accuracy" not in card.split("## Reproduce")[0]


def test_it_is_measured_asked_and_loaded_again(run, outside):
    shown = json.loads(asked(outside, run.parent, "evaluate", "run", "--dataset", "builtin:digits/uci", "--json"))
    assert shown["task"] == "ranks"
    assert 0 < shown["steps_off"] < 2.5
    from hubtl.data.opening import opened  # a digit as a file

    rows = opened("builtin:digits/uci").splits["test"].select(range(3))
    rows[0]["image"].save(run.parent / "digit.png")
    line = json.loads(asked(outside, run.parent, "predict", "run", "digit.png", "--format", "jsonl"))
    assert set(line) == {"input", "rank"}
    done = subprocess.run(
        [sys.executable, "-c", CLEAN], env=outside, cwd=run.parent, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"type": "Rank", "rank": line["rank"], "task": "ranks", "outputs": 9}


def test_methods_that_read_probabilities_are_refused_by_name(outside, tmp_path):
    said = asked(outside, tmp_path, *RUN, "--strategy", "mcc", code=2)
    assert "mcc needs probabilities that sum to one, and ranks has none" in said
    assert not (tmp_path / "run").exists()


def test_without_its_package_the_record_is_read_and_the_model_names_what_is_missing(run):
    record = RunRecord.load(run)
    assert record.adapted is not None
    assert record.adapted.primary is not None
    assert record.adapted.primary.name == "steps_off"
    assert "steps off" in render(record)
    said = asked({**os.environ}, run.parent, "predict", "run", "digit.png", code=2)
    assert "ranks" in said


def test_a_task_that_leaves_a_member_out_is_refused_when_it_is_loaded():
    from hubtl.plugins.contract import problem
    from hubtl.tasks import Task

    said = problem("tasks", type("Half", (Task,), {"name": "half", "score": lambda self, outputs, labels: 0.0}))
    assert said is not None
    assert "does not define" in said
    assert "primary" in said
    assert "score" not in said
