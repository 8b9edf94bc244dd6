"""Decide what a run averages: the members of ``auto``, and their share beside source-only."""

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.recipe.schema import Recipe
from hubtl.record import LabelSets
from hubtl.run.decisions import CLOSED, Decisions
from hubtl.run.streams import NO_TARGET_LABELS
from hubtl.tasks import Task

SEVERAL, ONE = 0.7, 0.5  # share of several adapted models beside source-only, and of one: docs/benchmarks.md


def by_members(decisions: Decisions, task: Task, setting: str, relation: LabelSets, *, picked: bool) -> None:
    """Decide members, seeds and hedge.

    Only models with equal outputs are averaged: with closed label sets, and where source-only is trained.

    Args:
        decisions: the decisions so far.
        task: the task.
        setting: the setting of the run.
        relation: the relation of the labels.
        picked: whether ``auto`` picked the strategy.
    """
    recipe = decisions.recipe
    blind = picked and setting in NO_TARGET_LABELS and relation.setting in CLOSED and task.unknown is None
    if blind and setting == "adaptation" and recipe.tuner.name == "head":
        own = recipe.strategy.name
        if own in task.members:
            names = [own, *(name for name in task.members if name != own)]
            decisions.decide("ensemble.members", names, "several methods on cached features cost seconds each")
        seed = recipe.run.seed
        decisions.decide("ensemble.seeds", [seed, seed + 1], "a second seed of a head on cached features costs seconds")
    if blind and recipe.run.baseline and recipe.tuner.name != "lora":
        share = SEVERAL if len(decisions.recipe.ensemble.members) > 1 else ONE
        decisions.decide("auto.hedge", share, "the average with source-only is seldom worse than it")
    else:
        decisions.fill("auto.hedge", 1.0, "the adapted model is shipped as it is")


def check_members(recipe: Recipe, task: Task, setting: str, *, came: bool = False) -> None:
    """Check that members can become one model.

    Args:
        recipe: the recipe.
        task: the task.
        setting: the setting of the run.
        came: whether all start from one trained model, whose outputs stay.

    Raises:
        HubtlError: for members without the run's own strategy, an average of one model, and models without an output
            for unknown classes.
    """
    names, own = recipe.ensemble.members, recipe.strategy.name
    if names and own not in names:
        raise HubtlError(
            f"--strategy {own} is none of the members ({', '.join(names)})", hint=f"--members {own},{','.join(names)}"
        )
    if own == "source-only" and len(names) > 1:
        others = [name for name in names if name != own]
        raise HubtlError(
            "what is averaged with adapted models is not source-only", hint=f"--members {','.join(others)} --hedge 0.5"
        )
    hedge = recipe.auto.hedge
    if hedge is not None and hedge < 1 and (own == "source-only" or setting not in NO_TARGET_LABELS):
        why = "source-only is what it would be" if own == "source-only" else f"{setting} has no source-only to be"
        raise HubtlError(f"auto.hedge is {hedge:g}, and {why} averaged with", hint="--hedge 1, or another --strategy")
    if hedge is not None and hedge < 1 and not recipe.run.baseline:
        raise HubtlError(
            f"auto.hedge is {hedge:g}: an average with source-only, which this run does not train", hint="--baseline"
        )
    beside = ["source-only"] if hedge is not None and hedge < 1 else []
    lacking = [name for name in [*names, *beside] if not plugins.load("strategies", name).unknown]
    if task.unknown is not None and not came and lacking:
        raise HubtlError(
            f"{lacking[0]} has no output {task.outputs.names[task.unknown]!r}, which {own} has: they are not averaged",
            hint="one --strategy" + ", and --hedge 1" * bool(beside),
        )
