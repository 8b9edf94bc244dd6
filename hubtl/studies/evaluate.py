"""Evaluate a saved model on a dataset. It stays as it is or adapts at test time.

Without labels, estimate its primary metric.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import concatenate_datasets
from torch import Tensor

from hubtl.data import content
from hubtl.data.reading import open_rows
from hubtl.data.rows import Rows
from hubtl.data.slices import cut_off
from hubtl.data.sources import open_domain
from hubtl.engine.device import make_accelerator
from hubtl.engine.sweep import finite, outputs
from hubtl.errors import HubtlError
from hubtl.io.shown import plural
from hubtl.judging.difference import difference
from hubtl.judging.subsets import subsets
from hubtl.models import saved
from hubtl.models.ensemble import EnsembleModel
from hubtl.models.model import AdaptedModel
from hubtl.models.trained import task_in
from hubtl.plugins.blame import minded
from hubtl.recipe.schema import DataSection, DomainSection, RunSection
from hubtl.record import Difference, DomainFacts, Evaluation, LaterEvaluation, OnlineFacts, Outputs, RunRecord
from hubtl.run.export import SOURCE_ONLY
from hubtl.run.hints import flags, offered
from hubtl.run.plan import installed_versions
from hubtl.settings import logger
from hubtl.testtime import TestTime
from hubtl.testtime.order import batches_of, order_of, witness_of


def measure(
    model: str,
    dataset: str,
    *,
    split: str | None = None,
    domain: str | None = None,
    data: Mapping[str, Any] | None = None,
    batch_size: int = 64,
) -> Evaluation:
    """Evaluate a saved model on the evaluation rows of a dataset.

    Classes are matched by name; those that the model does not know are left out, or are ``unknown`` where it has such a
    class.

    Args:
        model: run directory, Hub id or folder.
        dataset: Hub dataset, folder or file.
        split: the split; by default that of evaluation.
        domain: value of the domain column.
        data: keys of the recipe's section ``data``.
        batch_size: rows of a batch.

    Raises:
        HubtlError: for a dataset without labels or without a class that the model knows.
    """
    where: dict[str, Any] = {"split": split, "domain": domain, "data": data, "batch_size": batch_size}
    return later(model, dataset, **where).figures


@minded()
def later(
    model: str,
    dataset: str,
    *,
    tta: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int | None = 0,
    split: str | None = None,
    domain: str | None = None,
    data: Mapping[str, Any] | None = None,
    batch_size: int = 64,
) -> LaterEvaluation:
    """Evaluate as ``measure`` does, and return what a record keeps: rows, time, versions.

    With ``tta`` a copy of the model adapts to the rows while it predicts them, beside the frozen model. Every batch is
    scored before the model learns from it; labels only score. A single remaining row joins the last batch. Rows without
    labels get an estimate in place of figures, where the model was adapted from a labelled source.

    Args:
        model: run directory, Hub id or folder.
        dataset: Hub dataset, folder or file.
        tta: a test-time method.
        options: its options.
        seed: seed of the order of the rows, since datasets are often sorted by class. None keeps the dataset's order,
            as of a stream; a warning says where that is sorted by class.
        split: as in ``measure``.
        domain: as in ``measure``.
        data: as in ``measure``.
        batch_size: as in ``measure``.

    Raises:
        HubtlError: as in ``measure``, and for an unknown method or option.
    """
    loaded = saved.load(model)
    adapting = None if tta is None else loaded.test_time(tta, options)  # a wrong option costs no dataset
    known = None if adapting is not None else told_by(saved.folder_of(model), loaded)
    images, on = labelled(loaded, dataset, split, domain, data, may_lack=known is not None)
    online = None
    if images.labels is None and known is not None:
        figures = guessed(images, known, dataset, batch_size)
    elif tta is None or adapting is None:
        accelerator = make_accelerator(RunSection(), None)

        def logits(one: AdaptedModel, rows: Rows) -> Tensor:
            return finite(outputs(one.classifier, rows, accelerator, batch_size=batch_size), dataset).logits

        if isinstance(loaded, EnsembleModel):
            opened = [labelled(one, dataset, split, domain, data)[0] for one, _ in loaded.members]
            seen = [logits(one, rows) for (one, _), rows in zip(loaded.members, opened, strict=True)]
            figures = loaded.task.evaluation(loaded.mixed(seen), images.labels)
        else:
            figures = loaded.task.evaluation(logits(loaded, images), images.labels)
            figures.subsets = subsets(loaded.classifier, images, images.labels, loaded.task, accelerator)
    else:
        online, figures = online_beside_frozen(loaded, adapting, tta, images, batch_size, seed)
    today = datetime.date.today().isoformat()
    return LaterEvaluation(created=today, data=on, figures=figures, online=online, versions=installed_versions())


def measure_two(
    first: str, second: str, dataset: str, **where: Any
) -> tuple[Evaluation, Evaluation, Difference | None]:
    """Evaluate two saved models on the same rows. The interval of their difference comes with them.

    The difference is that of the primary metric, second less first. It is None where the models know different classes
    of the dataset: their figures are then of different rows.

    Args:
        first: run directory, Hub id or folder.
        second: the other model.
        dataset: Hub dataset, folder or file.
        **where: keywords of ``measure``.

    Raises:
        HubtlError: for models of different tasks.
    """
    tasks = [task_in(saved.folder_of(model)) for model in (first, second)]
    if tasks[0] != tasks[1]:
        raise HubtlError(
            f"{first} is a model for {tasks[0]}, {second} for {tasks[1]}: they have no figure in common",
            hint="two models for the same task",
        )
    one, other = (measure(model, dataset, **where) for model in (first, second))
    known = [{g.name for g in e.figures.groups() if g.n} if e.figures else set() for e in (one, other)]
    return one, other, difference(one, other) if known[0] == known[1] else None


def online_beside_frozen(
    loaded: AdaptedModel,
    adapting: TestTime,
    method: str,
    images: Rows,
    batch_size: int,
    seed: int | None,
) -> tuple[OnlineFacts, Evaluation]:
    """Evaluate an adapting and the frozen model on the same rows. Their order is the same."""
    rows, witness = order_of(len(images), seed), witness_of(loaded.task)
    logits, still = [], []
    for part in batches_of(rows, batch_size):
        inputs = {name: x.to(loaded.device) for name, x in images.fetch(part.tolist()).inputs.items()}
        with torch.inference_mode():
            still.append(loaded.classifier(inputs).float().cpu())
        logits.append(adapting.predict(inputs).float().cpu())
        if witness is not None:
            witness.see(logits[-1], still[-1] if seed is None else None)
    adapting.warn(witness)
    truth = None if images.labels is None else images.labels[rows]
    online = OnlineFacts(
        method=method,
        options=adapting.options.model_dump(mode="json"),
        figures=loaded.task.evaluation(torch.cat(logits), truth),
        batch_size=batch_size,
        seed=seed,
        **{name: count for name, count in asdict(adapting.stats).items() if name != "rows"},
    )
    return online, loaded.task.evaluation(torch.cat(still), truth)


@dataclass(frozen=True)
class Told:
    """Hold a run's facts on its source. They estimate its model's quality on rows without labels."""

    models: Sequence[tuple[AdaptedModel, Mapping[str, Any]]]  # the shipped one first; source-only too, where it is
    adapted: bool  # False: the shipped one learnt from the source alone


def told_by(folder: Path, loaded: AdaptedModel) -> Told | None:
    """Return a run's facts on its source; None where there are none."""
    if not (folder / "record.json").is_file():
        return None
    record = RunRecord.load(folder)
    own, other = record.adapted, record.source_only
    if own is None or own.estimate is None:
        return None
    models = [(loaded, own.estimate.kept)]
    if other is not None and other.estimate is not None and (folder / SOURCE_ONLY).is_dir():
        models.append((saved.load(folder / SOURCE_ONLY), other.estimate.kept))
    return Told(models, record.strategy != SOURCE_ONLY)


def guessed(images: Rows, known: Told, dataset: str, batch_size: int) -> Evaluation:
    """Estimate the shipped model's primary metric on rows without labels.

    Raises:
        HubtlError: for so few rows that an estimate would mean nothing.
    """
    accelerator, task = make_accelerator(RunSection(), None), known.models[0][0].task
    seen = [
        (finite(outputs(one.classifier, images, accelerator, batch_size=batch_size), dataset).logits, kept)
        for one, kept in known.models
    ]
    figures = task.evaluation(seen[0][0], None)
    figures.estimate = told = task.estimate(seen, adapted=known.adapted)
    if told is None or not told.tells:
        off = "" if told is None else f": it would be {100 * told.error:.0f} points off on average"
        raise HubtlError(
            f"{dataset} has no labels to evaluate against, and {plural(len(images), 'row')} are too few for an estimate{off}",
            hint="rows with labels, or more of them without",
        )
    return figures


def labelled(
    loaded: AdaptedModel,
    dataset: str,
    split: str | None,
    domain: str | None,
    data: Mapping[str, Any] | None,
    *,
    may_lack: bool = False,
) -> tuple[Rows, DomainFacts]:
    """Return a dataset's evaluation rows with labels of the model. Their facts come with them.

    ``may_lack``: without labels all of its rows are taken, unless a split is named.
    """
    section = DataSection(**(data or {}))
    where = DomainSection(dataset=dataset, eval_split=split, domain=domain)
    task = loaded.task
    names = [name for number, name in enumerate(task.outputs.names) if number != task.unknown]
    known = Outputs(names=names, details=task.outputs.details)
    opened = open_domain(where, section, task, role="target", modalities=loaded.info.modalities, known=known)
    bad = section.on_bad_sample
    if may_lack and (opened.eval_labels is None or opened.outputs is None):
        every = split is None and opened.facts.eval_split == cut_off(opened.facts.split)
        parts = [opened.train, opened.eval] if every else [opened.eval]
        plain = open_rows(
            loaded.backbone, concatenate_datasets(parts), opened.columns, labels=None, name=dataset, on_bad_sample=bad
        )
        shown = opened.facts.split if every else opened.facts.eval_split
        without = {"rows": len(plain), "eval_rows": len(plain), "skipped": list(plain.bad), "eval_split": shown}
        return plain, opened.facts.model_copy(update={**without, "eval_labelled": False, "label_counts": {}})
    if opened.eval_labels is None or opened.outputs is None:
        why = f" ({'; '.join(opened.passed)})" if opened.passed else f" in split {opened.facts.eval_split}"
        columns, options = offered(task, opened)
        asked = flags(columns, {}) if columns and not options else "--label-column NAME"
        raise HubtlError(
            f"{dataset} has no labels to evaluate against{why}",
            hint=f"{asked}, --split NAME, or hubtl predict",
        )
    trained = opened.facts.split
    if split is None and opened.facts.eval_split == cut_off(trained):
        logger.info(
            "%s: evaluated on %s, %d of %d rows, as there is no other split with labels; --split %s for all of them",
            *(dataset, opened.facts.eval_split, len(opened.eval), len(opened.eval) + len(opened.train), trained),
        )
    related = task.relate(known, opened.outputs, called="the model")
    for note in related.notes:
        logger.info("%s", note)
    truth = task.targets(opened.eval_labels, opened.outputs, task.outputs, task.unknown)
    rows = open_rows(loaded.backbone, opened.eval, opened.columns, labels=truth, name=dataset, on_bad_sample=bad)
    mark = content.mark([opened.eval], list(opened.facts.columns.values()))
    facts = opened.facts.model_copy(update={"fingerprint": mark, "label_counts": {}})
    return (
        rows,
        facts.model_copy(update={"rows": len(rows), "eval_rows": len(rows), "skipped": list(rows.bad)}),
    )
