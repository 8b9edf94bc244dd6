"""The three wheels, installed where nothing else of hubtl is: they are found, listed, and train."""

import json
import tomllib

import pytest

from tests.packages import clean

pytestmark = pytest.mark.slow

PLUGINS = {  # of the two packages: kind, name, package
    ("strategy", "linear-mmd", "hubtl-example"),
    ("backbone", "multimodal", "hubtl-multimodal"),
    ("strategy", "mm-da", "hubtl-multimodal"),
    ("strategy", "attention-da", "hubtl-multimodal"),
    ("test-time method", "read", "hubtl-multimodal"),
}
FACTS = """
import json, sys
from importlib import import_module, metadata
from packaging.requirements import Requirement

def present(line):
    asked = Requirement(line)
    if asked.marker and not asked.marker.evaluate({"extra": ""}):
        return True
    found = metadata.distribution(asked.name)
    extras = set(found.metadata.get_all("Provides-Extra") or ())
    return asked.specifier.contains(found.version, prereleases=True) and asked.extras <= extras

names = json.loads(sys.argv[1])
groups = ["hubtl.strategies", "hubtl.backbones", "hubtl.fusions", "hubtl.testtime"]
print(json.dumps({
    "path": sys.path,
    "files": [import_module(name.replace("-", "_")).__file__ for name in names],
    "metadata": [str(metadata.distribution(name).locate_file("")) for name in names],
    "points": sorted({str(p.dist.locate_file("")) for group in groups for p in metadata.entry_points(group=group)}),
    "missing": [line for name in names for line in metadata.requires(name) if not present(line)],
}))
"""
VERSION = tomllib.loads((clean.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
DIGITS = ["--source-dataset", "builtin:digits/mnist", "--target-dataset", "builtin:digits/uci"]
FEW = ["--source-split", "train[:100]", "--target-split", "train[:100]", "--target-eval-split", "test[:50]"]
SHORT = ["--steps", "3", "--output-dir", "run", "--set", "run.plots=false", "--json"]


def test_hubtl_its_metadata_and_its_entry_points_are_those_of_the_wheels(environment, tmp_path):
    facts = json.loads(environment.run("python", "-c", FACTS, json.dumps([*clean.SOURCES]), cwd=tmp_path).stdout)
    site = str(environment.site)
    assert all(file.startswith(f"{site}/") for file in facts["files"])
    assert facts["metadata"] == [site] * 3
    assert facts["points"] == [site]
    assert str(clean.ROOT) not in facts["path"]
    assert facts["missing"] == [], "a package asks for a version that is not there"


def test_an_environment_without_the_wheels_has_no_hubtl(tmp_path):
    """Otherwise an editable install could make this file's tests pass."""
    env = clean.make(tmp_path / "empty")
    done = env.run("python", "-c", "import torch, hubtl", cwd=tmp_path, check=False)
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'hubtl'"


def test_the_command_is_there_and_the_installation_is_sound(environment, tmp_path):
    assert "adapt" in environment.hubtl("--help", cwd=tmp_path)
    report = json.loads(environment.hubtl("doctor", "--json", cwd=tmp_path))
    assert report["checks"]["plugins"] == "ok"


def test_built_ins_and_both_plugins_are_listed(environment, tmp_path):
    rows = json.loads(environment.hubtl("plugin", "list", "--json", cwd=tmp_path))["plugins"]
    assert {(row["kind"], row["name"], row["package"]) for row in rows} == PLUGINS
    assert {row["broken"] for row in rows} == {None}
    listed = json.loads(environment.hubtl("list", "--json", cwd=tmp_path))
    assert {"coral", "mcc", "finetune"} <= {row["name"] for row in listed["strategies"]}


def test_a_method_of_a_plugin_adapts_to_the_embedded_digits(environment, tmp_path):
    method = ["--model", "lenet", "--no-pretrained", "--strategy", "linear-mmd"]
    said = json.loads(environment.hubtl("adapt", *method, *DIGITS, *FEW, *SHORT, cwd=tmp_path))
    assert (said["strategy"], said["steps"]) == ("linear-mmd", 3)
    record = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    assert record["versions"]["hubtl"] == record["strategy_version"] == VERSION
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert f"hubtl {VERSION}, torch " in card
    assert f"hubtl-example {VERSION}" in card
