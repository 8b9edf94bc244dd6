"""The loader that a saved model names opens it. Otherwise one error says what to install, give or mend."""

import json

import pytest
import torch

import hubtl
from hubtl import backbones, plugins
from hubtl.backbones.base import BackboneRequest
from hubtl.errors import HubtlError
from hubtl.models import saved
from hubtl.plugins.files import add_plugin

LOADER = """
import torch
from hubtl.backbones import lenet
from hubtl.backbones.loader import Loader

class House(Loader):
    'Load a LeNet.'
    def load(self, name, request):
        return lenet.load("lenet", request)
    def rebuild(self, folder, outputs, request=None):
        {rebuild}
"""
GOOD = "return lenet.load.rebuild(folder, outputs, request)"


@pytest.fixture(autouse=True)
def clean():
    yield
    plugins._registered.clear()
    plugins.entries.cache_clear()


@pytest.fixture
def model(tmp_path):
    """A saved model's folder, and a function that changes its loader."""
    torch.manual_seed(0)
    backbone = backbones.resolve("lenet", BackboneRequest(["x", "y"], pretrained=False, image_size=16))
    saved.save(
        tmp_path / "m", backbone, torch.nn.Linear(backbone.info.width, 2), ["x", "y"], {"task": "classification"}
    )

    def named(loader):
        for file in ("hubtl.json", "config.json"):
            facts = json.loads((tmp_path / "m" / file).read_text())
            (facts if file == "hubtl.json" else facts["hubtl"])["loader"] = loader
            (tmp_path / "m" / file).write_text(json.dumps(facts))
        return tmp_path / "m"

    return named


@pytest.mark.parametrize(
    ("loader", "said", "hint"),
    [
        ({"name": "house"}, "'house', which is not installed", "install the package that brings the loader house"),
        ({"name": "house", "package": None}, "which is not installed", "install the package that brings"),
        ({"name": "house", "package": "-r x; ls"}, "'house', which is not", "install the package that brings"),
        ({"name": "house", "package": 3}, "which is not installed", "install the package that brings"),
        (
            {"name": "house", "package": "acme", "version": "1.2"},
            "of acme 1.2, which is not installed",
            "pip install acme",
        ),
        ({"name": "lenet", "package": "acme"}, "'lenet' of acme, which is not installed", "pip install acme"),
        (
            {"name": "house", "package": "house.py", "version": "sha256:abc"},
            "of the file house.py, which is not given",
            "--plugin house.py",
        ),
        ({"package": "acme"}, "names the loader None, which is no name", "save or pull the model again"),
        ({"name": ["a"], "package": "acme"}, "which is no name", "save or pull"),
        ({"name": "a b", "package": "acme"}, "'a b', which is no name", "save or pull"),
    ],
)
def test_a_loader_that_is_not_there_is_one_error_with_a_remedy_that_can_be_typed(model, loader, said, hint):
    folder = model(loader)
    for opened in (
        lambda: hubtl.load(folder),
        lambda: backbones.resolve(str(folder), BackboneRequest(["x", "y"])),
    ):
        with pytest.raises(HubtlError) as caught:
            opened()
        assert said in str(caught.value)
        assert (caught.value.hint or "").startswith(hint)
        assert "None" not in (caught.value.hint or "")


@pytest.mark.parametrize("loader", ["timm", "local", "hub"])
def test_a_loader_of_hubtls_own_that_opens_nothing_leaves_it_to_the_library(tmp_path, loader):
    backbone = backbones.resolve("test_resnet", BackboneRequest(["x", "y"], pretrained=False, image_size=32))
    backbone.loader = {"name": loader, "package": "hubtl", "version": "0.1"}
    saved.save(tmp_path, backbone, torch.nn.Linear(backbone.info.width, 2), ["x", "y"], {"task": "classification"})
    assert json.loads((tmp_path / "hubtl.json").read_text())["loader"]["name"] == loader
    assert hubtl.load(tmp_path).names == ["x", "y"]


def test_the_loader_of_a_file_opens_what_it_saved_and_is_named_again(model, tmp_path):
    folder = model({"name": "house", "package": "house.py", "version": "sha256:other"})
    (tmp_path / "house.py").write_text(LOADER.format(rebuild=GOOD))
    (entry,) = add_plugin(tmp_path / "house.py")
    found = hubtl.load(folder)
    assert found.names == ["x", "y"]
    assert found.backbone.loader == {"name": "house", "package": "house.py", "version": entry.version}


@pytest.mark.parametrize(
    ("rebuild", "said"),
    [
        ("raise KeyError('weights')", r"failed in opening .*: KeyError: 'weights'"),
        ("return lenet.load('lenet', request)", r"opens .* as|failed in opening"),
        ("return None", r"opens .* as NoneType"),
        ("return torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)", r"opens .* as Linear, Linear"),
    ],
)
def test_a_loader_that_opens_something_else_is_named(model, tmp_path, rebuild, said):
    folder = model({"name": "house", "package": "house.py", "version": "sha256:other"})
    (tmp_path / "house.py").write_text(LOADER.format(rebuild=rebuild))
    add_plugin(tmp_path / "house.py")
    with pytest.raises(HubtlError, match=rf"backbone 'house' of house\.py sha256:\w+ {said}"):
        hubtl.load(folder)


def test_a_function_that_opens_nothing_is_named_by_its_package(model, tmp_path):
    folder = model({"name": "house", "package": "house.py", "version": "sha256:other"})
    (tmp_path / "house.py").write_text("def load(name, request):\n    'Load nothing.'\n")
    add_plugin(tmp_path / "house.py")
    with pytest.raises(HubtlError, match=r"^backbone 'house' of house\.py sha256:\w+ does not open what .* no rebuild"):
        hubtl.load(folder)
