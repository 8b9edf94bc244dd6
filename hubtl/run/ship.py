"""Choose which of a run's two models its directory ships; swapping them loses neither."""

import os
import shutil
from pathlib import Path
from typing import Literal

from hubtl.backbones.saved import outputs_of, read_facts
from hubtl.errors import HubtlError
from hubtl.hub.names import belongs
from hubtl.io import files
from hubtl.io.shown import typed
from hubtl.judging.judge import doubts
from hubtl.record import RunRecord, Verdict, Verified
from hubtl.run import export
from hubtl.run.plan import name_source_only
from hubtl.run.workplace import STATE, relist

Which = Literal["adapted", "source-only"]

SOURCE_ONLY: Which = "source-only"
ADAPTED: Which = "adapted"
WRITTEN = ("README.md", "record.json", "recipe.yaml")  # of a run, not of one of its models
STAGE = "aside"  # below STATE


def shipped(record: RunRecord) -> Which:
    """Return the model in the run directory itself; the other is in a folder of its name."""
    return SOURCE_ONLY if record.strategy == SOURCE_ONLY else ADAPTED


def aside(record: RunRecord) -> Which:
    """Return the other model, which names its folder. It may be there or not."""
    return SOURCE_ONLY if shipped(record) == ADAPTED else ADAPTED


def pair(folder: Path, record: RunRecord) -> dict[Which, Path]:
    """Return the folders of both models of a run.

    Raises:
        HubtlError: for a run that has, or has kept, only one.
    """
    here, there = shipped(record), aside(record)
    alone = record.source_only is None or (here == SOURCE_ONLY and record.verdict is None)
    if alone:
        raise HubtlError(
            f"the run in {folder} has one model, {record.strategy}, and nothing to compare it with",
            hint="a run that adapts, with source-only beside it: hubtl adapt --source-dataset … --target-dataset …",
        )
    if not (folder / there / "config.json").is_file():
        tried = f", which {record.verdict.tried} made" if record.verdict and there == ADAPTED else ""
        again = f"hubtl adapt {typed(folder / 'recipe.yaml')} --output-dir {typed(f'{folder}-2')}"
        raise HubtlError(
            f"the run in {folder} did not keep its {there} model{tried}",
            hint=f"{again} --set run.keep_source_only=true keeps both",
        )
    return {here: folder, there: folder / there}


def mend(folder: Path) -> None:
    """Finish an interrupted swap.

    Both models are in folders then, and the run's own files may be of either.
    """
    if all((folder / name / "config.json").is_file() for name in (SOURCE_ONLY, ADAPTED)):
        which = shipped(RunRecord.load(folder))
        _fill(folder, folder / which)
        _drop(folder, folder / which)
    shutil.rmtree(folder / STATE / STAGE, ignore_errors=True)


def ship(folder: Path, which: Which, verified: Verified | None) -> RunRecord:
    """Ship one model of a run, with record and card; keep the other in a folder.

    An interruption at any instant leaves both models complete in folders of their own, and ``mend`` or the same call
    again finishes the swap. The caller holds the directory.

    Args:
        folder: the run directory.
        which: the model to ship.
        verified: the evidence of labels, for the record.
    """
    mend(folder)
    record = RunRecord.load(folder)
    if which == shipped(record):
        record.warnings = _warned(record, record, verified)
        record.verified = verified
        _write(folder, record)
        return record
    kept = pair(folder, record)[which]
    made = RunRecord.load(kept) if (kept / "record.json").is_file() else _of_source_only(record, kept)
    made.warnings = _warned(made if (kept / "record.json").is_file() else record, made, verified)
    made.verified = verified
    export.check_card(made)
    _set_aside(folder, record)
    _fill(folder, kept)
    _write(folder, made)
    _drop(folder, kept)
    return made


def _write(folder: Path, record: RunRecord) -> None:
    export.check_card(record)
    record.save(folder)
    export.card(folder, record)


def _warned(before: RunRecord, after: RunRecord, verified: Verified | None) -> list[str]:
    """Return the run's own warnings and those of the new record."""
    own = [text for text in before.warnings if text not in doubts(before)]
    return [*own, *doubts(after.model_copy(update={"verified": verified}))]


def _of_source_only(record: RunRecord, folder: Path) -> RunRecord:
    """Return the record of a run as if it had shipped source-only."""
    made = record.model_copy(deep=True)
    made.verdict = made.verdict or Verdict(answer="undecided", reason="")
    name_source_only(made, [])
    made.outputs = outputs_of(read_facts(folder), f"{folder}/hubtl.json") or made.outputs
    made.calibration, made.evaluations, made.ablation = None, [], []
    return made


def _model(folder: Path) -> list[str]:
    """Return the files of a folder's model and of its adapter."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if belongs(name) and name not in WRITTEN and not name.startswith("plots/"))


def _set_aside(folder: Path, record: RunRecord) -> None:
    """Copy the shipped model into a folder of its name, atomically. Its record and card go with it."""
    stage, goal = folder / STATE / STAGE, folder / shipped(record)
    shutil.rmtree(stage, ignore_errors=True)
    for name in [*_model(folder), "README.md"]:
        if (folder / name).is_file():
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            _copy(folder / name, stage / name)
    record.save(stage)
    shutil.rmtree(goal, ignore_errors=True)  # what is left of a removal that was cut off
    os.replace(stage, goal)
    files.settle(folder)
    relist(folder, [f"{goal.name}/{name}" for name in [*_model(goal), "README.md", "record.json"]])


def _fill(folder: Path, kept: Path) -> None:
    """Copy a kept model over the shipped one."""
    new, old = _model(kept), _model(folder)
    for name in new:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _copy(kept / name, folder / name)
    for name in set(old) - set(new):
        (folder / name).unlink()
    relist(folder, {*new, *old})


def _drop(folder: Path, kept: Path) -> None:
    names = [path.relative_to(folder).as_posix() for path in kept.rglob("*") if path.is_file()]
    (kept / "config.json").unlink()  # from here on it counts as gone
    shutil.rmtree(kept)
    relist(folder, names)


def _copy(there: Path, here: Path) -> None:
    with there.open("rb") as source, files.whole(here) as goal:
        shutil.copyfileobj(source, goal, 2**20)


def own_choice(record: RunRecord) -> Which:
    """Return what the run shipped before any row was labelled."""
    return record.verified.before if record.verified and record.verified.before else shipped(record)
