"""Plugins: listed without being imported, each one's failure its own, names settled."""

import json
import sys

import pytest

from hubtl import plugins
from hubtl.errors import HubtlError
from tests.tiny import hubtl_command

CLASS = "from hubtl.strategy import Strategy\n\nclass {}(Strategy):\n    def step(self, source, target, *, at): ..."


def test_built_ins_come_in_through_the_same_door():
    for kind, name in (("strategies", "dann"), ("tuners", "lora"), ("validators", "last"), ("backbones", "timm")):
        entry = plugins.find(kind, name)
        assert (entry.package, entry.builtin) == ("hubtl", True)


def test_every_built_in_loads():
    for kind in plugins.KINDS:
        for entry in plugins.entries(kind).values():
            assert entry.load() is not None


def test_listing_imports_nothing_and_loading_imports_the_one(install):
    module = install("stranger", {"odd": "Odd"}, source=CLASS.format("Odd"))
    entry = plugins.entries("strategies")["odd"]
    assert (entry.package, entry.version, entry.builtin) == ("stranger", "1.2", False)
    assert module not in sys.modules
    assert entry.load().__name__ == "Odd"
    assert module in sys.modules


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import a_package_that_is_not_there", "ModuleNotFoundError: No module named 'a_package_that_is_not_there'"),
        ("raise RuntimeError('built for another age')", "RuntimeError: built for another age"),
        ("", "AttributeError: .* has no attribute 'Odd'"),
    ],
)
def test_a_broken_plugin_breaks_only_itself(install, source, reason):
    install("stranger", {"odd": "Odd"}, source=source)
    assert "odd" in plugins.entries("strategies")
    assert plugins.load("strategies", "dann").__name__ == "DANN"
    with pytest.raises(HubtlError, match=f"strategy 'odd' of stranger 1.2 does not load: {reason}") as caught:
        plugins.load("strategies", "odd")
    assert "pip uninstall stranger" in caught.value.hint


def test_a_built_in_keeps_its_name_and_the_plugin_gets_its_packages(install):
    install("stranger", {"dann": "Mine"}, source=CLASS.format("Mine"))
    assert plugins.load("strategies", "dann").__name__ == "DANN"
    assert plugins.load("strategies", "stranger:dann").__name__ == "Mine"
    assert "stranger:dann" in plugins.entries("strategies")
    assert "hubtl:dann" not in plugins.entries("strategies")


def test_a_clash_of_two_plugins_is_settled_by_the_packages_names(install):
    install("zebra", {"odd": "Z"}, source=CLASS.format("Z"))
    install("aardvark", {"odd": "A"}, source=CLASS.format("A"))
    assert plugins.load("strategies", "odd").__name__ == "A"
    assert plugins.load("strategies", "aardvark:odd").__name__ == "A"
    assert plugins.load("strategies", "zebra:odd").__name__ == "Z"


@pytest.mark.parametrize(("allowed", "seen"), [("", set()), ("one", {"first"}), ("ONE, t_wo", {"first", "second"})])
def test_hubtl_plugins_restricts_which_packages_are_seen(install, monkeypatch, allowed, seen):
    install("one", {"first": "X"})
    install("t-wo", {"second": "X"})
    monkeypatch.setenv("HUBTL_PLUGINS", allowed)
    plugins.entries.cache_clear()
    names = set(plugins.entries("strategies"))
    assert names & {"first", "second"} == seen
    assert "dann" in names


def test_what_an_import_prints_is_no_part_of_what_a_command_found(install, capsys):
    source = "print('hello')\nfrom hubtl.strategy import Strategy\n"
    source += "class Loud(Strategy):\n    'Loud.'\n    def step(self, source, target, *, at): ...\n"
    install("loud-package", {"loud": "Loud"}, source=source)
    code, out, err = hubtl_command(["show", "loud", "--json"], capsys)
    assert (code, json.loads(out)["name"]) == (0, "loud")
    assert "hello" in err


def test_an_unknown_name_hints_at_the_nearest():
    with pytest.raises(HubtlError, match="unknown strategy 'corral'") as caught:
        plugins.find("strategies", "corral")
    assert caught.value.hint == "coral"


def test_every_registered_name_is_spelt_as_flags_are():
    for kind in plugins.KINDS:
        for name, entry in plugins.entries(kind).items():
            assert not entry.builtin or name == name.lower().replace("_", "-"), name


def test_list_names_what_a_task_can_use(capsys):
    code, out, _ = hubtl_command(["list", "strategies", "--task", "regression"], capsys)
    assert code == 0
    assert {"rsd", "dare-gram", "coral"} <= set(out.split())
    assert not {"mcc", "shot"} & set(out.split())
    assert hubtl_command(["list", "tuners", "--task", "regression"], capsys)[1].split()[0]
    code, _, err = hubtl_command(["list", "--task", "regresion"], capsys)
    assert code == 2
    assert "regression" in err
