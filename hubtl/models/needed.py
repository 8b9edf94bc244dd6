"""Check what a saved model needs beside hubtl: a task, a modality or a loader of a package or a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.plugins import installed
from hubtl.record import PluginFacts
from hubtl.settings import logger

NEEDED = {
    "task": "tasks",
    "modality": "modalities",
    "backbone": "backbones",
}  # without which a model does not load, and the group it is registered in


def check_needed(facts: Mapping[str, Any], folder: Path) -> None:
    """Raise HubtlError where a plugin that a model needs is missing; ``facts`` are of ``hubtl.json``.

    A changed file and another version of a package only give a message.
    """
    given = facts.get("loader")
    opens = given.get("name") if isinstance(given, Mapping) else None
    for plugin in named_in(facts):
        if plugin.kind not in NEEDED or (plugin.kind == "backbone" and plugin.name != opens):
            continue
        known = plugins.entries(NEEDED[plugin.kind])
        entry = known.get(f"{plugin.package}:{plugin.name}") or known.get(plugin.name)
        if entry is None or entry.builtin:
            brings = f"the {plugin.kind} {plugin.name}"
            hint, lacks = installed.remedy(plugin.package, lacks=brings), "which is not installed"
            if plugin.sha256:
                hint, lacks = f"--plugin {plugin.package}, or hubtl.add_plugin(…) in Python", "which is not given"
            raise HubtlError(f"{folder} needs the {plugin.kind} {plugin.name!r} of {plugin.origin}, {lacks}", hint=hint)
        if plugin.sha256 and plugin.sha256 != entry.sha256:
            logger.warning(
                "%s was made with the %s %r of %s, and it is %s now",
                folder,
                plugin.kind,
                plugin.name,
                plugin.origin,
                entry,
            )


def named_in(facts: Mapping[str, Any]) -> list[PluginFacts]:
    """Return the plugins in ``hubtl.json``; empty entries are left out."""
    given, found = facts.get("plugins"), []
    for raw in given if isinstance(given, list) else []:
        try:
            found.append(PluginFacts.model_validate(raw))
        except ValidationError:
            logger.warning("hubtl.json names a plugin that cannot be read: %s", str(raw)[:200])
    return found
