"""Evaluate a model of several modalities on incomplete and corrupted rows.

Rows lack one modality or have one corrupted.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hubtl.engine.device import Accelerator
from hubtl.engine.sweep import outputs
from hubtl.modules import Classifier
from hubtl.record import SubsetScore
from hubtl.tasks import Task

ALONE = " only"
DOMINANT = 3.0


def subsets(model: Classifier, rows: Any, labels: np.ndarray | None, task: Task, acc: Accelerator) -> list[SubsetScore]:
    """Evaluate every subset: without one modality, only one, and each corrupted.

    It is empty for one modality. Without labels it has only each modality alone, and the model's confidence on it.

    Args:
        model: the model.
        rows: the rows.
        labels: their labels, or None.
        task: the task.
        acc: the accelerator of the run.
    """
    found = []
    for name, changed in variants(model, rows):
        if labels is None and not name.endswith(ALONE):
            continue
        logits = outputs(model, changed, acc).logits
        figures = task.evaluation(logits, labels)
        certain = task.certainty(logits)
        brief = figures.figures.brief() if figures.figures else []
        found.append(
            SubsetScore(
                name=name,
                n=figures.n,
                primary=figures.value,
                brief={
                    m.name: round(m.value, 4) for m in brief if m.value is not None
                },  # what a saved model gives again
                certainty=None if certain is None else round(certain, 4),
            )
        )
    return found


def dominance(found: Sequence[SubsetScore], outputs: int) -> str | None:
    """Describe which modality decides nearly alone; None where none does.

    It compares how much the confidence on each modality alone exceeds chance: one dominates if its excess is more than
    ``DOMINANT`` times another's.
    """
    chance = 1 / outputs
    sure = {
        s.name.removesuffix(ALONE): s.certainty - chance
        for s in found
        if s.name.endswith(ALONE) and s.certainty is not None
    }
    if len(sure) < 2:
        return None
    most, least = max(sure, key=lambda m: sure[m]), min(sure, key=lambda m: sure[m])
    if sure[most] <= DOMINANT * max(sure[least], 0.0):
        return None
    shown = ", ".join(f"{m} {100 * (value + chance):.0f} %" for m, value in sure.items())
    return (
        f"{most} dominates, and {least} contributes little: the model's certainty on each alone is {shown}, chance "
        f"{100 * chance:.0f} %; a larger model.modality_dropout makes the others learn more"
    )


def variants(model: Classifier, rows: Any) -> Iterator[tuple[str, Any]]:
    """Yield the rows with modalities removed or corrupted. Each modality is left out, kept alone, and corrupted.

    Corruptions have the model's severities.
    """
    info: Any = getattr(model.encoder.backbone, "info", None)
    modalities: tuple[str, ...] = getattr(info, "modalities", ())
    if not hasattr(rows, "without"):  # one modality, or features of a frozen backbone
        return
    if len(modalities) > 2:
        for left in modalities:
            yield f"without {left}", rows.without([left])
    if len(modalities) > 1:
        for only in modalities:
            yield f"{only}{ALONE}", rows.without([m for m in modalities if m != only])
    for spoiled in modalities:
        for severity in info.input.as_dict().get("options", {}).get("corruption", ()):
            yield f"{spoiled} corrupted, severity {severity}", rows.corrupted(spoiled, severity)
