"""Wheels and source distributions hold what belongs to each package. Nothing else is in them."""

import email
import tarfile
import tomllib

import pytest

from hubtl.plugins import kit
from tests.packages import clean

pytestmark = pytest.mark.slow

MODULES = {"hubtl": "hubtl", "hubtl-example": "hubtl_example", "hubtl-multimodal": "hubtl_multimodal"}
IN_SDIST = ("pyproject.toml", "README.md", "LICENSE")


def tracked(name):
    """The tracked files of a package, as a wheel names them."""
    source = clean.SOURCES[name]
    found = (p for p in (source / MODULES[name]).rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {p.relative_to(source).as_posix() for p in found}


@pytest.mark.parametrize("name", clean.SOURCES)
def test_a_wheel_holds_its_package_whole_and_nothing_else(built, name):
    content = clean.files(built[name].wheel)
    own = {file for file in content if ".dist-info/" not in file}
    assert own == tracked(name)
    assert f"{MODULES[name]}/py.typed" in own
    (licence,) = (file for file in content if file.endswith(".dist-info/licenses/LICENSE"))
    assert content[licence] == (clean.ROOT / "LICENSE").read_bytes()


def test_what_hubtl_reads_at_run_time_and_the_licences_of_its_data_are_in_the_wheel(built):
    """By their names: files that were lost in the tree as well would not be missed by a comparison with the tree."""
    content = clean.files(built["hubtl"].wheel)
    for file in (
        "card/template.md.j2",
        "data/builtin/mnist.npz",
        "data/builtin/LICENSE-mnist.txt",
        "data/builtin/LICENSE-uci.txt",
        "plugins/index.json",
        "plugins/kit/templates/pyproject.toml.j2",
        *(f"plugins/kit/templates/{kind}.py.j2" for kind in kit.KINDS),
        "tasks/classification/measured.json",
        "py.typed",
    ):
        assert content[f"hubtl/{file}"] or file == "py.typed"
    licences = {name.split("/", 2)[2] for name in content if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "hubtl/data/builtin/LICENSE-mnist.txt", "hubtl/data/builtin/LICENSE-uci.txt"}


@pytest.mark.parametrize("name", clean.SOURCES)
def test_a_wheel_says_what_pyproject_says(built, name):
    project = tomllib.loads((clean.SOURCES[name] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    content = clean.files(built[name].wheel)
    (file,) = (file for file in content if file.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(content[file])
    assert (metadata["Name"], metadata["Version"]) == (name, project["version"])
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Requires-Python"] == project["requires-python"]


@pytest.mark.parametrize("name", clean.SOURCES)
def test_the_wheel_of_a_source_distribution_is_that_of_the_tree(built, name, tmp_path):
    folder = clean.unpack(built[name].sdist, tmp_path / "unpacked")
    again = clean.build(folder, tmp_path / "again")
    assert clean.files(again.wheel) == clean.files(built[name].wheel)


@pytest.mark.parametrize("name", clean.SOURCES)
def test_a_source_distribution_holds_the_tests_and_no_leftovers(built, name):
    with tarfile.open(built[name].sdist) as archive:
        names = {one.name.split("/", 1)[1] for one in archive.getmembers() if one.isfile()}
    assert names.issuperset(IN_SDIST)
    assert any(one.startswith("tests/test_") for one in names)
    assert not [one for one in names if one.endswith((".pyc", ".whl", ".tar.gz")) or ".venv" in one]
