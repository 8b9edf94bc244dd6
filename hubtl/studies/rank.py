"""Rank backbones for a target before training (``hubtl rank``). Scores of their features rank them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from hubtl import backbones
from hubtl.backbones.base import Backbone, BackboneRequest
from hubtl.backbones.reference import ModelRef
from hubtl.card import metrics, wording
from hubtl.data.reading import open_rows
from hubtl.data.sources import Domain, open_domain
from hubtl.engine.device import Accelerator, make_accelerator
from hubtl.errors import HubtlError, nearest, unknown
from hubtl.io import jsontext
from hubtl.io.places import check_file
from hubtl.judging.shift import proxy_a_distance
from hubtl.recipe.flags import KEYS
from hubtl.recipe.reading import merge, parse
from hubtl.recipe.schema import Recipe
from hubtl.record import Metric
from hubtl.run.features import FeatureReader
from hubtl.run.hints import instead, readable
from hubtl.run.plan import installed_versions
from hubtl.run.prepare import task_of
from hubtl.settings import is_main_process, logger
from hubtl.tasks import Task

SCORES = ("logme", "leep", "h-score", "linear-probe")
BY = "logme"
SCORED_ROWS = 4000  # of a domain, spread over it: the scores settle long before, and cost the square of the width
FLAGS = (
    *("pretrained", "image_size", "source_split", "source_domain", "target_split", "target_eval_split"),
    *("target_domain", "column", "label_column", "domain_column", "task"),
    *("on_bad_sample", "device", "mixed_precision", "seed"),
)
# what a model may fail with: its own loader's words, or a library's in the forward pass
FAILURES = (HubtlError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, OSError, ImportError)


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Ranked(_Facts):
    """Hold one model and the scores of its features."""

    model: str
    rank: int | None = None  # from 1; None where the score that ranks was not measured
    pretrained: bool | None = None
    library: str | None = None
    architecture: str | None = None
    weights: str | None = None
    parameters: int | None = None
    width: int | None = None
    image_size: int | None = None
    scores: dict[str, float] = Field(default_factory=dict)  # higher is better
    a_distance: float | None = None  # between the features of source and target, 0 to 2; lower is better
    not_measured: dict[str, str] = Field(default_factory=dict)  # score -> why
    seconds: float = 0.0
    error: str | None = None  # why the model was not scored at all


class Ranking(_Facts):
    """Hold models, the best first; ``hubtl.rank`` returns it."""

    by: str
    labels: Literal["target", "source"]  # whose labels the features are scored against
    target: str
    source: str | None = None
    split: str
    rows: int
    scored_rows: int
    outputs: list[str]  # what the labels speak of: classes, or names of numbers
    probe: Metric | None = None  # what a linear probe is scored by
    task: str
    models: list[Ranked] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)

    def save(self, path: Path) -> None:
        jsontext.save(path, self.model_dump(mode="json"))


@dataclass(frozen=True)
class _Data:
    """Hold the rows that models are scored on.

    They are labelled rows, and, with a source, the target's rows without labels.
    """

    labelled: Domain
    labels: np.ndarray  # of the labelled training rows
    task: Task
    target: Domain | None  # None where the target itself is labelled
    on_bad_sample: str


def rank(
    models: str | Sequence[str],
    target_dataset: str,
    *,
    source_dataset: str | None = None,
    by: str = BY,
    output: str | Path | None = None,
    **flags: Any,
) -> Ranking:
    """Rank backbones for a target by scores of their features.

    Scores tell how well features fit labels, without training.

    Without a source the target must be labelled: the features of its training rows are scored against their labels;
    evaluation rows stay unseen. With a source the target's labels are never read, as when adapting: the features are
    scored on the labelled source, and ``a_distance`` measures the shift to the target's. The two are not combined: no
    label-free evidence tells how much a shift weighs.

    Features are cached as in training, so that a second call, and a linear probe of the winner, reads no input again.
    A model that fails is listed with its reason.

    Args:
        models: values of ``--model``, as a sequence or separated by commas.
        target_dataset: value of ``--target-dataset``.
        source_dataset: value of ``--source-dataset``.
        by: the score that ranks: ``logme``, ``leep``, ``h-score`` or ``linear-probe`` (see ``hubtl.tasks.fit``), as far
            as the task has it.
        output: a JSON file for the result.
        **flags: the flags of ``hubtl adapt`` about models and data, such as ``pretrained``, ``target_split``,
            ``device``.

    Raises:
        HubtlError: for mistakes, and where every model fails.
    """
    names = _names(models)
    if by not in SCORES:
        raise unknown("score", by, SCORES)
    path = None if output is None else Path(output)
    if path is not None:
        check_file(path)
    recipe = _recipe(names[0], target_dataset, source_dataset, flags)
    _check_score(by, task_of(recipe))
    data = _open(recipe, ModelRef(names[0]).modalities)
    accelerator = make_accelerator(recipe.run, None)
    domain = data.labelled
    ranking = Ranking(
        by=by,
        labels="target" if data.target is None else "source",
        target=domain.facts.dataset if data.target is None else data.target.facts.dataset,
        source=None if data.target is None else domain.facts.dataset,
        split=domain.facts.split,
        rows=len(domain.train),
        scored_rows=len(_spread(len(domain.train))),
        outputs=data.task.outputs.names,
        probe=data.task.probe(),
        task=data.task.name,
        versions=installed_versions(),
    )
    hints = []
    for number, name in enumerate(names, 1):
        logger.info("model      %d of %d: %s", number, len(names), name)
        began = time.monotonic()
        try:
            found = _score(name, recipe, data, accelerator)
        except FAILURES as error:
            first = " ".join(str(error).split())[:300]
            found = Ranked(
                model=name, error=first if isinstance(error, HubtlError) else f"{type(error).__name__}: {first}"
            )
            hints.append(getattr(error, "hint", None))
            logger.warning("%s is not ranked: %s", name, found.error)
        found.seconds = round(time.monotonic() - began, 3)
        ranking.models.append(found)
    if len(hints) == len(names):
        which = "the model" if len(names) == 1 else f"none of the {len(names)} models"
        raise HubtlError(f"{which} could be scored: {ranking.models[0].error}", hint=hints[0] or "hubtl doctor")
    ranking.models = _ordered(ranking.models, by)
    ranking.notes = _notes(ranking, data)
    if path is not None and is_main_process():
        ranking.save(path)
    return ranking


def _check_score(by: str, task: Task) -> None:
    """Raise HubtlError for a score that a task does not have."""
    if by in task.rankers:
        return
    if not task.rankers:
        raise HubtlError(
            f"{task.name} has no scores to rank backbones by", hint="hubtl compare, with each model in turn"
        )
    raise HubtlError(f"{task.name} has no score {by}", hint=f"--by {' or '.join(task.rankers)}")


def _names(models: str | Sequence[str]) -> list[str]:
    given = [models] if isinstance(models, str) else models
    names = list(dict.fromkeys(name.strip() for part in given for name in part.split(",") if name.strip()))
    if not names:
        raise HubtlError("no models are given", hint="--models resnet18,resnet50")
    return names


def _recipe(model: str, target: str, source: str | None, flags: Mapping[str, Any]) -> Recipe:
    """Parse the flags as a recipe, which checks them.

    Raises:
        HubtlError: for flags that ranking does not have.
    """
    for name in flags:
        if name not in FLAGS:
            raise HubtlError(
                f"rank() has no argument {name!r}", hint=nearest(name, FLAGS) or f"one of {', '.join(FLAGS)}"
            )
    changes = {"model.name": model, "target.dataset": target, "source.dataset": source}
    changes |= {KEYS[name]: value for name, value in flags.items()}
    if source is None and any(flags.get(name) is not None for name in ("source_split", "source_domain")):
        raise HubtlError("a part of the source is named, and no source", hint="add --source-dataset")
    return parse(merge({}, {key: value for key, value in changes.items() if value is not None}), where="hubtl rank")


def _open(recipe: Recipe, modalities: tuple[str, ...]) -> _Data:
    """Open the data.

    Raises:
        HubtlError: where there are no labels to score against.
    """
    task = task_of(recipe)
    common: dict[str, Any] = {"modalities": modalities, "instead": partial(instead, task)}
    target = open_domain(recipe.target, recipe.data, task, role="target", **common)
    labelled = target
    if recipe.source is not None:
        labelled = open_domain(recipe.source, recipe.data, task, role="source", **common)
    if labelled.labels is None or labelled.outputs is None:
        why = f" ({'; '.join(labelled.passed)})" if labelled.passed else ""
        if recipe.source is None:
            hint = f"{readable(task, labelled, plain=True) or '--label-column NAME'}, or --source-dataset for a labelled source"
            raise HubtlError(f"{labelled.facts.dataset} has no labels{why} to score features against", hint=hint)
        hint = readable(task, labelled, plain=True) or task.unlabelled_hint
        raise HubtlError(f"the source {labelled.facts.dataset!r} has no labels{why}", hint=hint)
    outputs = labelled.outputs
    labelled = labelled.labelled()
    assert labelled.labels is not None
    found = task.targets(labelled.labels, outputs, outputs)
    task.outputs = outputs
    return _Data(labelled, found, task, None if recipe.source is None else target, recipe.data.on_bad_sample)


def _score(name: str, recipe: Recipe, data: _Data, accelerator: Accelerator) -> Ranked:
    torch.manual_seed(recipe.run.seed)  # as training does: what has no pretrained weights is drawn here
    request = BackboneRequest(
        data.task.outputs.names,
        recipe.model.pretrained,
        image_size=recipe.model.image_size,
        keep_classifier=True,
    )
    backbone = backbones.resolve(name, request)
    info = backbone.info
    if backbones.parts_of(name):
        raise HubtlError(f"{name} names encoders of a fusion, which has to learn first", hint="rank each by itself")
    if tuple(info.modalities) != tuple(data.labelled.columns):
        asked, first = (" and ".join(found) for found in (info.modalities, data.labelled.columns))
        raise HubtlError(f"{name} takes {asked}, and the first of the models {first}", hint="rank them apart")
    reader = FeatureReader(backbone, accelerator, recipe.run.mixed_precision)
    features, labels = _read(reader, backbone, data.labelled, data.labels, data.on_bad_sample)
    assert labels is not None
    found = Ranked(
        model=info.name,
        pretrained=info.pretrained,
        library=info.library,
        architecture=info.architecture,
        weights=info.weights,
        parameters=sum(p.numel() for p in backbone.parameters()),
        width=info.width,
        image_size=getattr(info.input, "size", None),
    )
    kept = None if backbone.kept is None else (backbone.kept[0].numpy(), backbone.kept[1].numpy())
    for score, measure in data.task.fits(features, labels, kept).items():
        try:
            found.scores[score] = measure()
        except ValueError as error:
            found.not_measured[score] = str(error)
    if data.target is not None:
        others, _ = _read(reader, backbone, data.target, None, data.on_bad_sample)
        found.a_distance = proxy_a_distance(features, others)
    return found


def _read(
    reader: FeatureReader, backbone: Backbone, domain: Domain, labels: np.ndarray | None, on_bad_sample: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the features [n, d] of rows to score. Their labels come with them.

    The features of every training row are cached, for training.
    """
    name = f"{domain.facts.dataset}/train"
    images = open_rows(backbone, domain.train, domain.columns, labels=labels, name=name, on_bad_sample=on_bad_sample)
    kept = reader.read(images)
    batch = kept.fetch(_spread(len(kept)))
    return batch.inputs["features"].numpy(), None if batch.labels is None else batch.labels.numpy()


def _spread(n: int) -> list[int]:
    """Return at most SCORED_ROWS of n rows, always the same ones.

    They are spread over the data, which are often sorted by class.
    """
    found: list[int] = np.unique(np.linspace(0, n - 1, min(n, SCORED_ROWS)).round().astype(int)).tolist()
    return found


def _ordered(models: list[Ranked], by: str) -> list[Ranked]:
    """Sort the models: best first, then without the score, then failed, in the given order."""
    ordered = sorted(models, key=lambda m: (m.error is not None, by not in m.scores, -m.scores.get(by, 0.0)))
    for place, found in enumerate(ordered, 1):
        found.rank = place if by in found.scores else None
    return ordered


def _notes(ranking: Ranking, data: _Data) -> list[str]:
    """Return notes that a reader needs to interpret the figures."""
    scored = [found for found in ranking.models if found.error is None]
    notes = []
    if data.target is not None:
        notes.append(
            f"scored on the labels of the source {ranking.source}; labels of the target, if it has any, are not read. "
            "A-distance: how far the target's features lie from the source's, 0 to 2; it does not enter the order"
        )
    if any(not found.pretrained for found in scored):
        notes.append("random weights, as asked: what is ranked are architectures, not what pretraining taught them")
    if ranking.scored_rows < ranking.rows:
        notes.append(f"scored on {ranking.scored_rows} of {ranking.rows} rows, spread over them")
    if missing := data.task.unmet(data.labels[_spread(len(data.labels))]):
        called = wording.many(data.task.Figures.group)
        notes.append(f"{called} without a scored row ({len(missing)}): {', '.join(missing[:10])}")
    probed = [found for found in scored if "linear-probe" in found.scores]
    if ranking.by != "linear-probe" and probed and ranking.models[0] in probed:
        best = max(probed, key=lambda found: found.scores["linear-probe"])
        first = ranking.models[0].scores["linear-probe"]
        if best.scores["linear-probe"] > first:
            figures = " against ".join(metrics.value(ranking.probe, s) for s in (best.scores["linear-probe"], first))
            notes.append(f"the linear probe would put {best.model} first ({figures}): try both")
    return notes
