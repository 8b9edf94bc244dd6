"""Measuring a saved model on a labelled dataset: as it is, or while it adapts to the rows as to a stream."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from hubtl import api
from hubtl.data import labels
from hubtl.data.images import ImageSet
from hubtl.data.rows import open_rows
from hubtl.data.sources import open_domain
from hubtl.engine.device import make_accelerator
from hubtl.engine.sweep import outputs
from hubtl.errors import HubtlError
from hubtl.evaluate import difference, evaluation
from hubtl.recipe import DataSection, DomainSection, RunSection
from hubtl.record import Difference, Evaluation
from hubtl.subsets import subsets
from hubtl.testtime import Stats


@dataclass(frozen=True)
class Online:
    """A model that adapted while it was measured, beside the same model frozen, on the same rows in the same order."""

    method: str
    online: Evaluation  # each batch scored before the model learnt from it
    frozen: Evaluation
    stats: Stats
    reset_every: int
    batch_size: int
    seed: int | None  # of the order; None: the dataset's own

    def as_dict(self) -> dict[str, Any]:
        """Plain values, the figures of the online protocol first."""
        return {
            "method": self.method,
            "online_accuracy": self.online.accuracy,
            "frozen_accuracy": self.frozen.accuracy,
            "stats": asdict(self.stats),
            "reset_every": self.reset_every,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "online": self.online.model_dump(mode="json"),
            "frozen": self.frozen.model_dump(mode="json"),
        }


def measure(
    model: str,
    dataset: str,
    *,
    split: str | None = None,
    domain: str | None = None,
    data: Mapping[str, Any] | None = None,
    batch_size: int = 64,
) -> Evaluation:
    """The figures of a saved model (run directory, Hub id or folder) on the evaluation rows of a dataset.

    Classes are matched by name; those that the model does not know are left out, or are ``unknown`` where it has such a
    class. Raises HubtlError for a dataset without labels or without a class that the model knows.
    """
    loaded = api.load(model)
    images, unknown = _labelled(loaded, dataset, split, domain, data)
    accelerator = make_accelerator(RunSection(), None)
    seen = outputs(loaded.classifier, images, accelerator, batch_size=batch_size)
    figures = evaluation(seen.logits, images.labels, loaded.classes, unknown)
    figures.subsets = subsets(loaded.classifier, images, images.labels, loaded.classes, accelerator, unknown)
    return figures


def measure_two(
    first: str, second: str, dataset: str, **where: Any
) -> tuple[Evaluation, Evaluation, Difference | None]:
    """The figures of two saved models on the same rows, and the interval of the second's accuracy less the first's.

    Keywords are those of ``measure``. The difference is None where the models do not know the same classes of the
    dataset: their figures are then of other rows.
    """
    one, other = (measure(model, dataset, **where) for model in (first, second))
    known = [{score.name for score in figures.per_class if score.n} for figures in (one, other)]
    return one, other, difference(one, other) if known[0] == known[1] else None


def measure_online(
    model: str,
    dataset: str,
    method: str,
    options: Mapping[str, Any] | None = None,
    *,
    split: str | None = None,
    domain: str | None = None,
    data: Mapping[str, Any] | None = None,
    batch_size: int = 64,
    seed: int | None = 0,
) -> Online:
    """The figures of a saved model that adapts to the rows while it predicts them, and those of the frozen model.

    The rows come in an order drawn from ``seed``, as datasets are often sorted by class; None keeps the dataset's own.
    Every batch is scored before the model learns from it, the labels only score. A single row that would remain joins
    the last batch. Raises HubtlError as ``measure`` does, and for a method or an option that there is not.
    """
    loaded = api.load(model)
    adapting = loaded.test_time(method, options)
    images, unknown = _labelled(loaded, dataset, split, domain, data)
    rows = np.arange(len(images)) if seed is None else np.random.default_rng(seed).permutation(len(images))
    logits, still = [], []
    for part in _batches(rows, batch_size):
        inputs = {name: x.to(loaded.device) for name, x in images.fetch(part.tolist()).inputs.items()}
        with torch.inference_mode():
            still.append(loaded.classifier(inputs).float().cpu())
        logits.append(adapting.predict(inputs).float().cpu())
    truth = None if images.labels is None else images.labels[rows]
    return Online(
        method=method,
        online=evaluation(torch.cat(logits), truth, loaded.classes, unknown),
        frozen=evaluation(torch.cat(still), truth, loaded.classes, unknown),
        stats=adapting.stats,
        reset_every=adapting.options.reset_every,
        batch_size=batch_size,
        seed=seed,
    )


def _batches(rows: np.ndarray, size: int) -> list[np.ndarray]:
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts


def _labelled(
    loaded: api.AdaptedModel, dataset: str, split: str | None, domain: str | None, data: Mapping[str, Any] | None
) -> tuple[ImageSet, int | None]:
    """The evaluation rows of a dataset with their labels by the model's classes, and which of these is the unknown."""
    section = DataSection(**(data or {}))
    where = DomainSection(dataset=dataset, eval_split=split, domain=domain)
    opened = open_domain(where, section, role="target", modalities=loaded.info.modalities)
    if opened.label_column is None or opened.class_names is None or opened.eval is None:
        raise HubtlError(f"{dataset} has no labels to evaluate against", hint="--label-column NAME, or hubtl predict")
    known = [name for name in loaded.classes if name != loaded.unknown]
    labels.match(known, opened.class_names, called="the model")
    unknown = None if loaded.unknown is None else loaded.classes.index(loaded.unknown)
    other = -1 if unknown is None else unknown
    truth = labels.indices(opened.eval, opened.label_column, opened.class_names, loaded.classes, other)
    bad = section.on_bad_sample
    rows = open_rows(loaded.backbone, opened.eval, opened.columns, labels=truth, name=dataset, on_bad_sample=bad)
    return rows, unknown
