"""Check that an interrupted run continues with its own recipe and data."""

from pathlib import Path
from typing import Any

from hubtl.data.content import MARK
from hubtl.errors import HubtlError
from hubtl.io.shown import typed
from hubtl.recipe.reading import parse, read
from hubtl.recipe.schema import Recipe
from hubtl.record import DomainFacts, RunRecord
from hubtl.run.prepare import Prepared
from hubtl.run.views import KEYS as VIEW_KEYS
from hubtl.run.views import same_views

FREE_TO_CHANGE = {
    "run.checkpoint_every",
    "run.report_to",
    "run.output_dir",
    "run.plots",
    "run.keep_source_only",
    "run.energy",
    "data.num_workers",
}


def check_same_recipe(recipe: Recipe, folder: Path) -> None:
    """Raise HubtlError for another recipe than that of ``folder``. The run was started with that one."""
    kept = RunRecord.load(folder).recipe or read(folder / "recipe.yaml")
    started = parse(kept)
    if started.auto.hedge is None:  # of a version that averaged nothing
        started.auto.hedge = 1.0
    before, now = _flat(started), _flat(recipe)
    free = FREE_TO_CHANGE | (set(VIEW_KEYS) if same_views(started, recipe) else set())
    changed = [key for key in sorted({*before, *now} - free) if before.get(key) != now.get(key)]
    if changed:
        listed = ", ".join(f"{key} ({before.get(key)} → {now.get(key)})" for key in changed)
        raise HubtlError(
            f"the run in {folder} was started with another recipe: {listed}",
            hint=f"hubtl adapt --resume --output-dir {typed(folder)}, with recipe.yaml there as the run wrote it; or --overwrite",
        )


def check_same_data(prepared: Prepared, folder: Path) -> None:
    """Raise HubtlError for other data than those of ``folder``. The run was started with them."""
    if not (folder / "record.json").exists():
        return
    before = RunRecord.load(folder)
    for role, old, new in (("source", before.source, prepared.source), ("target", before.target, prepared.target)):
        check_same_rows(role, old, new, folder)
    if prepared.told is None and before.target_told_mark is None:
        return
    known = before.target_told_mark is not None  # a record of an earlier hubtl names the rows alone
    if before.target_told != prepared.learnt or (known and before.target_told_mark != prepared.told):
        raise HubtlError(
            f"target.labels gives other labels than when the run in {folder} was started",
            hint="another --output-dir, or the file as it was",
        )


def check_same_rows(role: str, old: DomainFacts | None, new: DomainFacts | None, folder: Path) -> None:
    """Raise HubtlError where a domain's rows changed. They differ from those at the start of the run in ``folder``."""
    if old is None or new is None or not old.fingerprint.startswith(MARK):
        return  # a record of an earlier hubtl says nothing of the content
    if old.fingerprint != new.fingerprint:
        raise HubtlError(
            f"the data of the {role} have changed since the run in {folder} was started: {new.dataset}",
            hint="another --output-dir, or the data as they were",
        )


def _flat(recipe: Recipe) -> dict[str, Any]:
    found = {}
    for section, value in recipe.model_dump(mode="json").items():
        for key, item in (value or {}).items():
            found[f"{section}.{key}"] = item
    return found
