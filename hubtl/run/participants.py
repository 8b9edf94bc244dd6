"""List the plugins of a run, for records and saved models: package or file, and version."""

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
    """Return a run's third-party plugins. They are strategies, tuner, validators, task, loaders and modalities."""
    found = [*_named(recipe, task), *_loaders(recipe, backbone), *_registered("modalities", backbone.info.modalities)]
    known: dict[tuple[str, str], PluginFacts] = {}
    for entry in found:
        if not entry.builtin:
            kind = plugins.SINGULAR[entry.kind]
            known.setdefault((kind, entry.name), facts_of(entry))
    return list(known.values())


def facts_of(entry: plugins.Entry) -> PluginFacts:
    """Return a record's facts on a registered name."""
    return PluginFacts(
        kind=plugins.SINGULAR[entry.kind],
        name=entry.name,
        package=entry.package,
        version=entry.version,
        sha256=entry.sha256 or None,
    )


def _named(recipe: Recipe, task: Task) -> Iterator[plugins.Entry]:
    for name in dict.fromkeys([recipe.strategy.name, *recipe.ensemble.members]):
        yield from _parts("strategies", name)
    yield from _parts("tuners", recipe.tuner.name)
    yield from _parts("tasks", recipe.task.name)
    yield from _registered("validators", [recipe.run.validator or "last", *task.scores, *task.voters])


def _parts(kind: str, name: str) -> Iterator[plugins.Entry]:
    """Yield the entries that a name stands for. ``a+b`` has its combiner, too."""
    names = plugins.parts(kind, name)
    yield from (plugins.find(kind, part) for part in names)
    if len(names) > 1 and (combiner := plugins.combiner(kind)) is not None:
        yield combiner


def _registered(kind: str, names: Iterable[str]) -> Iterator[plugins.Entry]:
    known = plugins.entries(kind)
    yield from (known[name] for name in names if name in known)


def _loaders(recipe: Recipe, backbone: Backbone) -> Iterator[plugins.Entry]:
    """Yield the loaders of the models' names and of an architecture. The architecture is a saved model's."""
    for name in models_of(recipe.model.name):
        yield plugins.find("backbones", ModelRef(name).loader[0])
    if backbone.loader is not None:
        yield plugins.find("backbones", backbone.loader["name"])
    if (entry := owner(backbone)) is not None:
        of = [e for e in plugins.entries("backbones").values() if e.package == entry.package]
        yield of[0] if of else entry
