"""Keep the study of a search: one at a time in a folder, resumed where it was left."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.io.places import check_writable
from hubtl.recipe.ranges import Axis
from hubtl.recipe.reading import made
from hubtl.recipe.schema import Recipe
from hubtl.tasks.base import FLOOR


def refusal(guard: Mapping[str, float], best: float | None) -> str | None:
    """Return the guard rail that rejects a trial, or None.

    Args:
        guard: the guard's figures of the trial.
        best: the best score on the source of all trials.
    """
    if guard.get("collapsed"):
        return "collapsed"
    if best is not None and guard.get(source_score(guard) or "", best) < best - FLOOR:
        return "lost the source"
    return None


def source_score(guard: Mapping[str, float]) -> str | None:
    """Return the name of the guard's source score. ``source-accuracy`` is one."""
    return next((name for name in guard if name.startswith("source-")), None)


def best_on_source(guards: Iterable[Mapping[str, float]]) -> float | None:
    """Return the best score on the source of some trials."""
    return max((guard[name] for guard in guards if (name := source_score(guard))), default=None)


def finished(study: Any) -> list[dict[str, Any]]:
    """Return the finished trials, best first; interrupted ones do not count."""
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    best = best_on_source(t.user_attrs.get("guard", {}) for t in done)
    found = []
    for order, trial in enumerate(sorted(done, key=lambda t: t.number)):
        guard = trial.user_attrs.get("guard", {})
        lost = trial.state == TrialState.PRUNED
        found.append(
            {
                "number": trial.number,
                "order": order,
                "parameters": dict(trial.params),
                "score": trial.user_attrs.get("score"),
                "guard": guard,
                "refused": "diverged" if lost else refusal(guard, best),
                "seconds": trial.user_attrs.get("seconds"),
            }
        )
    return sorted(found, key=lambda t: (t["refused"] is not None, t["score"] is None, -(t["score"] or 0.0), t["order"]))


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """Lock a folder for one search at a time.

    Raises:
        HubtlError: where another search holds it.
    """
    from filelock import FileLock, Timeout

    check_writable(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / "study.db").exists():
        raise HubtlError(f"the output directory {folder} is not empty", hint="another --output-dir")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "study.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise HubtlError(f"another hubtl tune is at work in {folder}", hint="wait, or another --output-dir") from error
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        why = getattr(error, "strerror", None) or "this file system has no locks"
        raise HubtlError(f"cannot write to {folder}: {why}", hint="another --output-dir") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def opened(
    folder: Path, recipe: Recipe, axes: Sequence[Axis], objective: str, data: Sequence[str] = ()
) -> Iterator[Any]:
    """Open the study in a folder, new or resumed.

    Args:
        folder: the folder.
        recipe: the recipe.
        axes: the search space.
        objective: the name of the score.
        data: fingerprints of the data that it trains and scores on.

    Raises:
        HubtlError: where the folder searches for something else.
    """
    import optuna
    from optuna.exceptions import StorageInternalError
    from optuna.trial import TrialState
    from sqlalchemy import URL
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    where = URL.create("sqlite", database=str((folder / "study.db").resolve()))  # a name may have a ? in it
    storage = None
    try:
        storage = optuna.storages.RDBStorage(where.render_as_string())
        study = optuna.create_study(study_name="hubtl", storage=storage, direction="maximize", load_if_exists=True)
        plain = recipe.model_dump(mode="json", exclude={"hub"})
        plain["run"].pop("output_dir")
        about = json.loads(json.dumps({"recipe": plain, "space": [a.facts() for a in axes], "objective": objective}))
        about["data"] = list(data)
        before = study.user_attrs.get("about")
        if before is not None and "data" not in before:  # of an earlier hubtl
            before["data"] = about["data"]
        if before is not None and before != about:
            changed = [key for key in about if before.get(key) != about[key]]
            raise HubtlError(
                f"the search in {folder} was started with another {' and '.join(changed)}",
                hint="another --output-dir, or what it was started with",
            )
        study.set_user_attr("about", about)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):  # cut off: it is done again
            study.tell(trial.number, state=TrialState.FAIL)
        waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if not finished(study) and not waiting:
            study.enqueue_trial(_as_it_is(recipe, axes))
        yield study
    except (StorageInternalError, SQLAlchemyError) as error:
        root = error.__cause__ or error
        said = " ".join(str(getattr(root, "orig", None) or root).split())[:200]
        raise HubtlError(
            f"{folder / 'study.db'} cannot be used: {said}",
            hint="make room, put a copy of the file back, or another --output-dir",
        ) from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _as_it_is(recipe: Recipe, axes: Sequence[Axis]) -> dict[str, Any]:
    """Return the recipe's own values within their ranges: the trial to beat."""
    own = recipe.strategy
    options = made(plugins.load("strategies", own.name).Options, own.name, own.options, "strategy.")
    found = {}
    for axis in axes:
        section, _, leaf = axis.key.rpartition(".")
        value = getattr(recipe.optim if section == "optim" else options, leaf)
        if axis.holds(value):
            found[axis.key] = value
    return found
