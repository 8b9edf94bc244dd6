"""Measure each part of a method: train a finished run's recipe again without it."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubtl import plugins
from hubtl.errors import HubtlError, unknown
from hubtl.recipe.reading import merge, parse, read
from hubtl.recipe.schema import Recipe
from hubtl.record import Ablated, RunRecord
from hubtl.run import export
from hubtl.run.adapt import adapt
from hubtl.run.workplace import changing
from hubtl.settings import is_main_process, logger
from hubtl.studies import amend
from hubtl.studies.compare import quietly

# of the run that is taken apart: what an ablated one leaves out
BARE: Mapping[str, Any] = {"run.baseline": False, "run.plots": False, "run.fallback": False, "hub.push_to": None}
KEPT = ("record.json", "recipe.yaml")  # of each ablated run: its weights are of no use


def parts(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the parts that a finished run's method declares: the options that leave each out.

    Raises:
        HubtlError: for a folder without a finished run, and for a method that declares none.
    """
    return _declared(amend.check(folder), folder)


def ablate(folder: Path, without: Sequence[str] = (), *, command: str = "hubtl ablate") -> RunRecord:
    """Train a finished run's recipe again without each of its parts.

    The figures go into its record and card, and select nothing. Data, seed, updates and everything else are the run's
    own. Called again, finished parts are not repeated and an interrupted one continues.

    Args:
        folder: the run directory.
        without: parts to leave out, one at a time; by default every part.
        command: the command to type again, for errors.

    Raises:
        HubtlError: for a part that does not exist.
    """
    record = amend.check(folder)
    declared = _declared(record, folder)
    for name in without:
        if name not in declared:
            raise unknown(f"part of {record.strategy}", name, declared)
    raw = read(folder / "recipe.yaml")
    wanted = [name for name in declared if name in without or not without]
    recipes = {
        name: _recipe(raw, declared[name], _place(folder, name)) for name in wanted
    }  # all checked before any runs
    for name, recipe in recipes.items():
        logger.info("ablate     without %s", name)
        with quietly():
            found = Ablated(without=name, changes=declared[name], **_trained(recipe, _place(folder, name), command))
            if is_main_process():  # after each: what is done is in the card, whatever happens to the next
                with changing(folder):
                    record = amend.check(folder)  # others may have added to it meanwhile
                    record.ablation = [*(a for a in record.ablation if a.without != name), found]
                    record.save(folder)
                    export.card(folder, record)
    return record


def _declared(record: RunRecord, folder: Path) -> dict[str, dict[str, Any]]:
    cls = plugins.load("strategies", record.strategy)
    if not cls.ablations:
        raise HubtlError(
            f"{record.strategy}, which {folder} was adapted with, names no parts to leave out",
            hint="hubtl list strategies; hubtl show NAME says which has parts",
        )
    now = record.strategy_options  # a part that the run did without already is none of its parts
    used = {n: dict(c) for n, c in cls.ablations.items() if any(now.get(key) != value for key, value in c.items())}
    if not used:
        raise HubtlError(f"the run in {folder} did without every part of {record.strategy}", hint="adapt with some")
    return used


def _recipe(raw: Mapping[str, Any], changes: Mapping[str, Any], place: Path) -> Recipe:
    options = {f"strategy.options.{key}": value for key, value in changes.items()}
    return parse(merge(raw, {**BARE, **options, "run.output_dir": str(place)}))


def _place(folder: Path, name: str) -> Path:
    return folder / "training" / "ablation" / name.replace(" ", "-")


def _trained(recipe: Recipe, place: Path, command: str) -> dict[str, Any]:
    done = adapt(recipe, command=command, resume=(place / "record.json").exists(), shown=False).record
    figures = done.adapted
    assert figures is not None
    if is_main_process():
        for path in place.iterdir():
            if path.name not in KEPT:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return {"figures": figures.slim(), "seconds": done.training.seconds}
