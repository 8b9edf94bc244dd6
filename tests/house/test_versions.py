"""hubtl, its two plugins and their quotes carry one version."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PLUGINS = ("hubtl-example", "hubtl-multimodal")


def project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


VERSION = project(ROOT)["version"]
MAJOR, MINOR = VERSION.split(".")[:2]


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_has_the_version_of_hubtl_and_asks_for_its_minor_versions(name):
    plugin = project(ROOT / "plugins" / name)
    assert plugin["version"] == VERSION
    (asked,) = (one for one in map(Requirement, plugin["dependencies"]) if one.name == "hubtl")
    assert {str(one) for one in asked.specifier} == {f">={MAJOR}.{MINOR}", f"<{MAJOR}.{int(MINOR) + 1}"}


@pytest.mark.parametrize("file", ["hubtl/__init__.py", "plugins/hubtl-multimodal/hubtl_multimodal/__init__.py"])
def test_a_module_says_the_version_of_its_package(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.findall(r'^__version__ = "(.*)"$', text, re.MULTILINE) == [VERSION]


def test_the_guide_pins_the_versions_that_the_example_pins():
    (asked,) = project(ROOT / "plugins" / "hubtl-example")["dependencies"]
    guide = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert set(re.findall(r'dependencies = \["(hubtl[^"]*)"\]', guide)) == {asked}


def test_the_release_notes_begin_with_this_version_after_what_is_not_released():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, second = re.findall(r"^## (.*)$", text, re.MULTILINE)[:2]
    assert first == "Unreleased"
    assert re.fullmatch(rf"{re.escape(VERSION)} \(20\d\d-\d\d-\d\d\)", second)
