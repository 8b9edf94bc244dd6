"""List packages that a model needs beside hubtl. Its record or its ``hubtl.json`` names them."""

from collections.abc import Iterable, Mapping
from typing import Any

from hubtl.plugins.installed import is_package
from hubtl.record.facts import ModelFacts, PluginFacts

LOADS = ("task", "backbone", "modality")  # kinds of plugins without which a model does not load
BUILT_IN = ("lenet",)  # architectures of hubtl's own format in version 0.1


def packages(model: ModelFacts, taking_part: Iterable[PluginFacts]) -> list[str]:
    """Name the packages that a run's model needs; of an earlier record those that its encoders came with."""
    needed = [plugin for plugin in taking_part if plugin.kind in LOADS and not plugin.sha256]
    found = [plugin.package for plugin in needed if is_package(plugin.package)]
    return list(dict.fromkeys(found)) or ([of_architecture(model.architecture)] if model.parts else [])


def packages_in(facts: Mapping[str, Any]) -> list[str]:
    """Name the packages that a saved model needs, by its ``hubtl.json``; of an earlier one by its architecture."""
    given = facts.get("plugins")
    if isinstance(given, list):
        needed = [one for one in given if isinstance(one, Mapping) and one.get("kind") in LOADS]
        found = [one["package"] for one in needed if not one.get("sha256") and is_package(one.get("package"))]
        return list(dict.fromkeys(found))
    architecture = facts.get("architecture")
    if "loader" in facts or facts.get("library", "hubtl") != "hubtl" or architecture in (None, *BUILT_IN):
        return []
    return [of_architecture(str(architecture))]


def of_architecture(name: str) -> str:
    """Return an architecture's package, where version 0.1 did not name it: there was one, called by it."""
    return f"hubtl-{name}"
