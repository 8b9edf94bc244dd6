"""An unknown package is installed, listed, shown and trained. No line of hubtl is changed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parents[2] / "plugins" / "hubtl-example"
DOMAINS = ["--source-dataset", "builtin:digits/mnist", "--target-dataset", "builtin:digits/uci"]
FEW = ["--source-split", "train[:100]", "--target-split", "train[:100]", "--target-eval-split", "test[:50]"]
API = """
import hubtl
result = hubtl.adapt(
    model="lenet", pretrained=False, source_dataset="builtin:digits/mnist", target_dataset="builtin:digits/uci",
    strategy="linear-mmd", steps=20, output_dir="api", options={"run.plots": False},
)
record = result.record
print(record.strategy_package, record.strategy_version, record.training.steps, record.adapted.n, record.paper)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """The environment of a machine on which the package is installed."""
    home = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*install, "--no-build-isolation", "--no-index", "--target", str(home), str(PACKAGE)], check=True)
    path = [str(home), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def hubtl(environment, cwd, *arguments: str) -> str:
    line = [sys.executable, "-m", "hubtl", *arguments]
    done = subprocess.run(line, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_not_there_before_it_is_installed(tmp_path):
    assert "linear-mmd" not in hubtl(dict(os.environ), tmp_path, "list", "strategies")


def test_it_is_listed_with_its_package_and_version_and_shown_with_its_options(environment, tmp_path):
    assert "linear-mmd  (hubtl-example 0.2.0)" in hubtl(environment, tmp_path, "list", "strategies")
    shown = json.loads(hubtl(environment, tmp_path, "show", "linear-mmd", "--json"))
    assert shown["package"] == "hubtl-example"
    assert [option["name"] for option in shown["options"]] == ["weight"]


def test_it_trains_from_the_command_line_and_its_card_names_it(environment, tmp_path):
    arguments = [
        "adapt",
        "--model",
        "lenet",
        "--no-pretrained",
        *DOMAINS,
        *FEW,
        "--strategy",
        "linear-mmd",
        "--set",
        "weight=0.5",
    ]
    said = json.loads(hubtl(environment, tmp_path, *arguments, "--steps", "3", "--output-dir", "run", "--json"))
    assert (said["strategy"], said["steps"]) == ("linear-mmd", 3)
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["strategy_options"] == {"weight": 0.5}
    assert "gap" in record["training"]["curves"][0]
    card = (tmp_path / "run" / "README.md").read_text()
    assert "hubtl-example" in card
    assert "1412.3474" in card


def test_it_trains_from_python(environment, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", API], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["hubtl-example", "0.2.0", "20", "600", "arXiv:1412.3474"]
