"""Measuring a saved model on a labelled dataset."""

from collections.abc import Mapping
from typing import Any

from hubtl import api
from hubtl.data import labels
from hubtl.data.images import ImageSet
from hubtl.data.sources import open_domain
from hubtl.engine.device import make_accelerator
from hubtl.engine.sweep import outputs
from hubtl.errors import HubtlError
from hubtl.evaluate import evaluation
from hubtl.recipe import DataSection, DomainSection, RunSection
from hubtl.record import Evaluation


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
    section = DataSection(**(data or {}))
    opened = open_domain(DomainSection(dataset=dataset, eval_split=split, domain=domain), section, role="target")
    if opened.label_column is None or opened.class_names is None or opened.eval is None:
        raise HubtlError(f"{dataset} has no labels to evaluate against", hint="--label-column NAME, or hubtl predict")
    known = [name for name in loaded.classes if name != loaded.unknown]
    labels.match(known, opened.class_names)
    unknown = None if loaded.unknown is None else loaded.classes.index(loaded.unknown)
    other = -1 if unknown is None else unknown
    truth = labels.indices(opened.eval, opened.label_column, opened.class_names, loaded.classes, other)
    images = ImageSet(
        opened.eval,
        opened.image_column,
        labels=truth,
        spec=loaded.info.input,
        augment=False,
        name=dataset,
        on_bad_sample=section.on_bad_sample,
    )
    accelerator = make_accelerator(RunSection(), None)
    seen = outputs(loaded.classifier, images, accelerator, batch_size=batch_size)
    return evaluation(seen.logits, images.labels, loaded.classes, unknown)
