"""Prepare each model that a run averages or reports: strategies, seeds and backbones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from hubtl import backbones, plugins
from hubtl.backbones.base import BackboneRequest
from hubtl.backbones.reference import ModelRef, parts_of
from hubtl.data.features import FeatureSet
from hubtl.errors import HubtlError
from hubtl.io.places import there
from hubtl.recipe.reading import parse
from hubtl.recipe.schema import NamedSection, Recipe
from hubtl.run.decisions import Decisions, by_model, by_relation, by_rows, by_strategy
from hubtl.run.needs import check_needs
from hubtl.run.prepare import Prepared, prepare, tuned
from hubtl.settings import logger

PLUS = "+"


@dataclass(frozen=True)
class Member:
    """Name one of the models: a strategy with a seed, on a backbone."""

    strategy: str
    seed: int
    model: str
    prepared: Prepared

    @property
    def called(self) -> str:
        return f"{self.strategy}, seed {self.seed}, {self.model}"


def models_of(name: str) -> list[str]:
    """Return the backbones that ``a+b`` names.

    A folder or a model of several modalities is one, whatever its name.
    """
    if there(name) or parts_of(name):
        return [name]
    names = [part.strip() for part in name.split(PLUS)]
    if not all(names):
        raise HubtlError(f"--model {name}: a name is missing beside a +", hint="--model NAME+NAME")
    if len(set(names)) < len(names):
        raise HubtlError(f"--model {name} names a model twice", hint="--seeds 0,1 for two runs of one model")
    return names


def averages(members: Sequence[str], seeds: Sequence[int], models: Sequence[str], hedge: float) -> bool:
    """Return whether a run averages its models.

    Several seeds of one strategy that no ``members`` name are only reported.
    """
    several = bool(members) and len(members) * max(1, len(seeds)) > 1
    return several or len(models) > 1 or hedge < 1


def with_model(recipe: Recipe, name: str) -> Recipe:
    """Return the recipe for one of its backbones."""
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"name": name})}, deep=True)


def whole(each: Sequence[Prepared]) -> Recipe:
    """Return the recipe of a run on several backbones. It names them all."""
    return with_model(each[0].recipe, PLUS.join(one.recipe.model.name for one in each))


def kept(each: Sequence[Prepared]) -> Recipe:
    """Return the recipe that repeats a run. It has every decision that holds for all members.

    Keys that members decide differently stay as given, otherwise the first one's rate would be used for all. For the
    optimiser this covers the whole section, whose keys are decided by whether others are given.
    """
    recipe, given = whole(each), each[0].given
    members = [member.prepared.recipe.model_dump(mode="json") for member in members_of(each)]
    left = recipe.model_dump(mode="json", exclude_none=True)
    for section in ("model", "data", "optim", "run"):
        known = getattr(given, section).model_dump(mode="json", exclude_unset=True, exclude_none=True)
        apart = {
            key for key in members[0][section] if any(one[section][key] != members[0][section][key] for one in members)
        }
        apart -= {"name", "seed", "fallback"}  # the run's own
        if section == "optim" and apart:
            left[section] = known
        for key in apart | ({"epochs"} if "steps" in apart else set()):
            left[section].pop(key, None)
            left[section] |= {key: known[key]} if key in known else {}
    return parse(left)


def prepared_each(recipe: Recipe, *, processes: int = 1) -> list[Prepared]:
    """Prepare a run on each of its backbones; all have the same rows.

    Of several seeds the first is the run's own: source-only beside the first model has it too.

    Args:
        recipe: the recipe.
        processes: the number of processes.

    Raises:
        HubtlError: for members that do not go together.
    """
    names = models_of(recipe.model.name)
    if recipe.ensemble.seeds:
        recipe = recipe.model_copy(
            update={"run": recipe.run.model_copy(update={"seed": recipe.ensemble.seeds[0]})}, deep=True
        )
    first = prepare(with_model(recipe, names[0]), processes=processes)
    found = [first]
    for name in names[1:]:
        other = prepare(with_model(recipe, name), processes=processes)
        if other.setting == "source-free" or first.setting == "source-free":
            raise HubtlError(
                "several trained classifiers do not become one without the source that they share",
                hint="--source-dataset, or one --model",
            )
        if type(other.task) is not type(first.task) or other.task.outputs.names != first.task.outputs.names:
            raise HubtlError(f"{name} and {names[0]} do not answer with the same", hint="one --model")
        found.append(other)
    ensemble, hedge = first.recipe.ensemble, first.recipe.auto.hedge
    if ensemble.keep and not averages(ensemble.members, ensemble.seeds, names, 1.0 if hedge is None else hedge):
        logger.warning("nothing is averaged in this run, so that --keep-ensemble keeps nothing")
    return found


def members_of(each: Sequence[Prepared]) -> list[Member]:
    """Return the members of a run. Its own strategy, first backbone and first seed come first."""
    recipe = each[0].recipe
    names = recipe.ensemble.members or [recipe.strategy.name]
    seeds = recipe.ensemble.seeds or [recipe.run.seed]
    return [
        Member(name, seed, prepared.model.name, variant(prepared, name, seed))
        for prepared in each
        for seed in seeds
        for name in names
    ]


def variant(prepared: Prepared, name: str, seed: int) -> Prepared:
    """Return the run with another strategy and seed: the same rows, its own decisions.

    A backbone without pretrained weights is drawn again for another seed, unless it is frozen. Target rows whose labels
    are learnt from, where they are few, stay the same.

    Args:
        prepared: the prepared run.
        name: the strategy.
        seed: the seed.

    Raises:
        HubtlError: for a strategy that does not fit the run.
    """
    own = prepared.recipe
    if name == own.strategy.name and seed == own.run.seed:
        return prepared
    cls = plugins.load("strategies", name)
    if prepared.setting not in cls.settings:
        raise HubtlError(
            f"{name} does not work in the setting {prepared.setting}", hint="hubtl list strategies, or other members"
        )
    check_needs(cls, name, prepared.task)
    if not cls.trains_backbone and own.tuner.name != "head":
        raise HubtlError(f"{name} never trains the backbone, and other members do", hint="--tuner head")
    strategy = prepared.given.strategy if name == own.strategy.name else NamedSection(name=name)
    changes = {
        "strategy": strategy.model_copy(update={"name": name}),
        "run": prepared.given.run.model_copy(update={"seed": seed}),
    }
    decisions = Decisions(prepared.given.model_copy(update=changes, deep=True))
    by_strategy(decisions, name, cls, prepared.setting, prepared.task)
    by_relation(decisions, prepared.relation, cls, prepared.setting)
    by_model(decisions, prepared.backbone, cls, prepared.task)
    labelled = prepared.streams.source_eval_labels is not None
    by_rows(decisions, cls, prepared.setting, prepared.task, labelled=labelled, per_epoch=prepared.per_epoch)
    decided = decisions.recipe
    kept = {
        part: getattr(own, part) for part in ("source", "target", "data", "tuner", "task", "ensemble", "auto", "hub")
    }
    model = own.model.model_copy(update={"bottleneck": decided.model.bottleneck})
    recipe = decided.model_copy(update={**kept, "model": model})
    changed = replace(prepared, recipe=recipe, strategy_class=cls, decisions=decisions.made, reason=None)
    frozen = own.tuner.name == "head" or isinstance(prepared.streams.target_plain, FeatureSet)
    drawn = not own.model.pretrained and not frozen and prepared.classifier is None
    return _redrawn(changed) if drawn and seed != own.run.seed else changed


def _redrawn(prepared: Prepared) -> Prepared:
    """Return the run with random backbone weights drawn anew. Its own seed draws them, as ``prepare`` does."""
    recipe = prepared.recipe
    torch.manual_seed(recipe.run.seed)
    own = recipe.model
    request = BackboneRequest(prepared.task.outputs.names, False, image_size=own.image_size, options=own.options)
    backbone = backbones.resolve(ModelRef(own.name), request)
    tuner = tuned(recipe, backbone)
    backbone.ranges = prepared.backbone.ranges
    return replace(prepared, backbone=backbone, tuner=tuner)
