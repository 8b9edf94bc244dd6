"""Measure the agreement of models on rows without labels."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from torch import Tensor

from hubtl.tasks import Task


def alike(task: Task, one: Tensor, other: Tensor) -> float | None:
    """Return the share of rows with equal answers; None where answers are numbers."""
    answers = [np.asarray(task.answered(outputs)) for outputs in (one, other)]
    if any(np.issubdtype(found.dtype, np.floating) for found in answers) or not len(answers[0]):
        return None
    same = (answers[0] == answers[1]).reshape(len(answers[0]), -1).all(axis=1)
    return float(same.mean())


def mean_agreement(task: Task, outputs: Sequence[Tensor]) -> float | None:
    """Return the mean share of equal answers over all pairs; None for fewer than two models."""
    found = [alike(task, one, other) for one, other in combinations(outputs, 2)]
    known = [share for share in found if share is not None]
    return float(np.mean(known)) if known and len(known) == len(found) else None
