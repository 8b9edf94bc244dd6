"""Which plugins take part in a run: a record and a saved model name them with their package, or file, and version."""

from collections.abc import Iterable, Iterator

from hubtl import plugins
from hubtl.backbones.base import Backbone
from hubtl.backbones.reference import ModelRef
from hubtl.plugins.blame import owner
from hubtl.recipe.schema import Recipe
from hubtl.record import PluginFacts
from hubtl.run.members import models_of
from hubtl.tasks import Task


def participants(recipe: Recipe, task: Task, backbone: Backbone) -> list[PluginFacts]:
    """List all that takes part in a run and is not hubtl's own: strategies, tuner, validators, task and loaders."""
    found = [*_named(recipe, task), *_loaders(recipe, backbone)]
    known: dict[tuple[str, str], PluginFacts] = {}
    for entry in found:
        if not entry.builtin:
            kind = plugins.SINGULAR[entry.kind]
            known.setdefault((kind, entry.name), facts_of(entry))
    return list(known.values())


def facts_of(entry: plugins.Entry) -> PluginFacts:
    """Say of a registered name what a record says of it."""
    return PluginFacts(
        kind=plugins.SINGULAR[entry.kind],
        name=entry.name,
        package=entry.package,
        version=entry.version,
        sha256=entry.sha256 or None,
    )


def _named(recipe: Recipe, task: Task) -> Iterator[plugins.Entry]:
    strategies = dict.fromkeys([recipe.strategy.name, *recipe.ensemble.members])
    for name in strategies:
        known = plugins.entries("strategies")
        for part in [name] if name in known else name.split("+"):
            yield plugins.find("strategies", part)
    yield plugins.find("tuners", recipe.tuner.name)
    yield plugins.find("tasks", recipe.task.name)
    yield from _registered("validators", [recipe.run.validator or "last", *task.scores, *task.voters])


def _registered(kind: str, names: Iterable[str]) -> Iterator[plugins.Entry]:
    known = plugins.entries(kind)
    yield from (known[name] for name in names if name in known)


def _loaders(recipe: Recipe, backbone: Backbone) -> Iterator[plugins.Entry]:
    """The loaders that the models' names are for, and of a saved model the one that its architecture is from."""
    for name in models_of(recipe.model.name):
        yield plugins.find("backbones", ModelRef(name).loader[0])
    if (entry := owner(backbone)) is not None:
        of = [e for e in plugins.entries("backbones").values() if e.package == entry.package]
        yield of[0] if of else entry
