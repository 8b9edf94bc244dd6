"""A model of several modalities on rows that lack one, and on rows in which one is corrupted."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from hubtl.engine.device import Accelerator
from hubtl.engine.sweep import outputs
from hubtl.evaluate import evaluation
from hubtl.modules import Classifier
from hubtl.record import SubsetScore


def subsets(
    model: Classifier, rows: Any, labels: np.ndarray | None, classes: list[str], acc: Accelerator, unknown: int | None
) -> list[SubsetScore]:
    """Figures of every subset: minus one modality, only one, and each corrupted. None of one modality, or no labels."""
    found = []
    if labels is not None:
        for name, changed in variants(model, rows):
            figures = evaluation(outputs(model, changed, acc).logits, labels, classes, unknown)
            scores = {"accuracy": figures.accuracy, "balanced_accuracy": figures.balanced_accuracy}
            found.append(SubsetScore(name=name, n=figures.n, **scores))
    return found


def variants(model: Classifier, rows: Any) -> Iterator[tuple[str, Any]]:
    """The rows without each modality, with each alone, and with each corrupted at the model's severities."""
    info: Any = getattr(model.encoder.backbone, "info", None)
    modalities: tuple[str, ...] = getattr(info, "modalities", ())
    if not hasattr(rows, "without"):  # one modality, or features of a frozen backbone
        return
    if len(modalities) > 2:
        for left in modalities:
            yield f"without {left}", rows.without([left])
    if len(modalities) > 1:
        for only in modalities:
            yield f"{only} only", rows.without([m for m in modalities if m != only])
    for spoiled in modalities:
        for severity in info.input.as_dict().get("options", {}).get("corruption", ()):
            yield f"{spoiled} corrupted, severity {severity}", rows.corrupted(spoiled, severity)
