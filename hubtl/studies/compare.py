"""Compare several strategies on the same data, ranked without target labels."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hubtl import plugins
from hubtl.engine.device import make_accelerator
from hubtl.engine.processes import first
from hubtl.errors import HubtlError
from hubtl.io import files, jsontext, plain
from hubtl.io.places import check_writable
from hubtl.judging.judge import voters_on
from hubtl.judging.validators.ensemble import Ensemble
from hubtl.judging.verdict import verdict
from hubtl.recipe.reading import merge, parse
from hubtl.recipe.schema import EnsembleSection, Recipe
from hubtl.record import Evaluation, Metric, RunRecord
from hubtl.run.adapt import adapt
from hubtl.run.members import models_of
from hubtl.settings import is_main_process, logger
from hubtl.tasks import Task

FIRST = "source-only"
DEFAULT = ("coral", "dan", "dann", "cdan", "mcc", "bnm", "shot", "aad")
FEATURES = ("coral", "dan", "dann", "afn", "dare-gram")  # of a task without probabilities
FILE = "compare.json"


@dataclass
class Entrant:
    """Hold one strategy's outcome."""

    strategy: str
    failed: str | None = None  # why it could not run
    scores: dict[str, float] = field(default_factory=dict)  # by validator, without target labels; higher is better
    merit: float | None = None  # mean rank that the voting validators give it among all: higher is better
    answer: str | None = None  # adapted, source-only or undecided; None: it is source-only, or did not run
    reason: str = ""  # why
    refused: bool = False  # a guard rail stands against it
    seconds: float = 0.0  # of the whole run
    primary: Metric | None = None  # on the target's evaluation rows: an oracle's column


@dataclass
class Comparison:
    """Hold a comparison, best first by evidence that reads no target labels."""

    output_dir: Path
    model: str
    voters: list[str]
    entrants: list[Entrant]
    oracle: bool = False

    @property
    def best(self) -> str:
        """Return the best strategy by the evidence, which may be source-only."""
        return self.entrants[0].strategy

    def summary(self) -> dict[str, Any]:
        """Return the comparison as it is saved.

        Figures on target labels are in it only with an oracle.
        """
        rows = []
        for entrant in self.entrants:
            row = asdict(entrant)
            del row["primary"]
            if self.oracle:
                metric = entrant.primary
                row["primary"] = None if metric is None else metric.model_dump(mode="json")
                row |= {} if metric is None else {metric.name: metric.value}
            rows.append(row)
        return {
            "model": self.model,
            "best": self.best,
            "voters": self.voters,
            "oracle": self.oracle,
            "output_dir": str(self.output_dir),
            "entrants": rows,
        }


def compare(
    recipe: Recipe,
    strategies: Sequence[str] | None = None,
    *,
    folder: Path | None = None,
    full: bool = False,
    oracle: bool = False,
    command: str = "hubtl compare",
) -> Comparison:
    """Train source-only and each strategy by the same recipe; rank them without target labels.

    Unless ``full``, the backbone is frozen and all read the same cached features. Each strategy's run stays in
    ``folder/STRATEGY`` and can be pushed. Called again, finished runs are not repeated and an interrupted one
    continues. A strategy that cannot run is listed with the reason.

    Args:
        recipe: the recipe; its strategy is replaced.
        strategies: names; by default ``DEFAULT``, or ``FEATURES`` for a task without probabilities.
        folder: the folder of the comparison.
        full: train the backbone too.
        oracle: add figures on target labels, which rank nothing.
        command: the command to type again, for errors.

    Raises:
        HubtlError: for unknown names, for a labelled target without a source, and for a folder with another comparison.
    """
    names = list(dict.fromkeys([FIRST, *(_usual(recipe.task.name) if strategies is None else strategies)]))
    for name in names:
        plugins.find("strategies", name)
    if recipe.source is None:
        raise HubtlError(
            "a comparison ranks ways to adapt from a labelled source, and none is given", hint="add --source-dataset"
        )
    if (
        recipe.ensemble != EnsembleSection()
        or recipe.auto.hedge not in (None, 1)
        or len(models_of(recipe.model.name)) > 1
    ):
        raise HubtlError(
            "a comparison trains each strategy by itself, on one model with one seed",
            hint="leave --members, --seeds, --hedge and a second model out; hubtl adapt averages them",
        )
    changes: dict[str, Any] = {"run.baseline": False, "run.plots": False, "run.fallback": False}
    if not full:
        changes["tuner.name"] = "head"
    common = merge(recipe.model_dump(exclude_unset=True), changes)
    target = recipe.target.domain or Path(recipe.target.dataset).name
    folder = folder or Path("runs") / f"compare-{Path(recipe.model.name).name}-{target}"
    accelerator = make_accelerator(recipe.run, None)
    first(accelerator, lambda: _claim(folder, common))
    found = []
    for name in names:
        began = time.monotonic()
        entrant = Entrant(name)
        own = parse(merge(common, {"strategy.name": name, "run.output_dir": str(folder / name)}))
        logger.info("compare    %s", name)
        try:
            with quietly():
                record = adapt(
                    own, command=command, resume=(folder / name / "record.json").exists(), shown=False
                ).record
        except HubtlError as error:
            if name == FIRST or (accelerator.num_processes > 1 and not error.everywhere):
                raise  # one of several processes failed by itself: the others no longer wait for it
            entrant.failed = str(error)
            logger.warning("compare    %s: %s", name, error)
        else:
            _note(entrant, record)
        entrant.seconds = round(time.monotonic() - began, 2)
        found.append((entrant, None if entrant.failed else record))
    ranked, voters = rank(found, plugins.load("tasks", recipe.task.name))
    outcome = Comparison(folder, recipe.model.name, voters, ranked, oracle)
    if is_main_process():
        _write(folder / FILE, {"recipe": common, **outcome.summary()})
    return outcome


def _usual(task: str) -> tuple[str, ...]:
    """Return the strategies to compare on a task by default."""
    return DEFAULT if plugins.load("tasks", task).probabilities else FEATURES


def rank(found: Sequence[tuple[Entrant, RunRecord | None]], task: type[Task]) -> tuple[list[Entrant], list[str]]:
    """Return the entrants, best first, and the validators that voted.

    A validator has no vote if one of the methods optimises it, or if it reads a source that one of them forgets; unless
    no other could vote. Entrants that a guard rail rejects come after the others, and failed runs last.

    Args:
        found: entrants with their records.
        task: the task's class.
    """
    first = found[0][1]
    assert first is not None
    assert first.adapted is not None
    ran = [(e, r.adapted) for e, r in found if r is not None and r.adapted is not None]
    methods = [plugins.load("strategies", e.strategy) for e, _ in ran]
    counting = [name for name in voters_on(methods[0], task) if all(name in voters_on(cls, task) for cls in methods)]
    known = [name for name in counting if all(name in e.scores for e, _ in ran)]
    partial = {rule for cls in methods for rule in cls.judging.improves}
    voters = [name for name in known if name not in partial] or known
    merits = (
        Ensemble().merits([{name: e.scores[name] for name in voters} for e, _ in ran]) if voters else [0.0] * len(ran)
    )
    for (entrant, figures), merit in zip(ran, merits, strict=True):
        entrant.merit = merit
        if entrant.strategy != FIRST:
            _judge(entrant, first.adapted, figures, task)
    order = sorted(
        (e for e, _ in found),
        key=lambda e: (e.failed is not None, e.refused, -(e.merit if e.merit is not None else 0.0)),
    )
    return order, voters


def _judge(entrant: Entrant, before: Evaluation, after: Evaluation, task: type[Task]) -> None:
    cls = plugins.load("strategies", entrant.strategy)
    cost = None if cls.judging.forgets_source else task().cost
    said = verdict(before, after, cost=cost)
    entrant.answer, entrant.reason, entrant.refused = said.answer, said.reason, said.rail


def _note(entrant: Entrant, record: RunRecord) -> None:
    figures = record.adapted
    assert figures is not None
    entrant.scores, entrant.primary = dict(figures.scores), figures.primary


def _claim(folder: Path, common: dict[str, Any]) -> None:
    """Reserve the folder for this comparison.

    Raises:
        HubtlError: where it holds something else.
    """
    path = folder / FILE
    check_writable(folder)
    if path.exists():
        try:
            before = plain.object_of(path).get("recipe")
        except (OSError, ValueError):
            before = None
        if before != json.loads(json.dumps(common)):
            raise HubtlError(f"{folder} holds a comparison by another recipe", hint="another --output-dir")
    elif folder.exists() and any(not found.name.endswith(files.PARTIAL) for found in folder.iterdir()):
        raise HubtlError(f"the output directory {folder} is not empty", hint="another --output-dir")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, {"recipe": common})


def _write(path: Path, content: dict[str, Any]) -> None:
    jsontext.save(path, content)


@contextmanager
def quietly() -> Iterator[None]:
    """Silence the messages of the single runs."""
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)
