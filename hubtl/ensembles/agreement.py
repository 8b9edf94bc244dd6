"""How much models agree on rows without labels."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from torch import Tensor

from hubtl.tasks import Task


def alike(task: Task, one: Tensor, other: Tensor) -> float | None:
    """The share of rows to which two models answer the same; None where answers are numbers, which never are."""
    answers = [np.asarray(task.answered(outputs)) for outputs in (one, other)]
    if any(np.issubdtype(found.dtype, np.floating) for found in answers) or not len(answers[0]):
        return None
    same = (answers[0] == answers[1]).reshape(len(answers[0]), -1).all(axis=1)
    return float(same.mean())


def mean_agreement(task: Task, outputs: Sequence[Tensor]) -> float | None:
    """The mean share of rows on which two of the models agree, over all pairs; None for fewer than two."""
    found = [alike(task, one, other) for one, other in combinations(outputs, 2)]
    known = [share for share in found if share is not None]
    return float(np.mean(known)) if known and len(known) == len(found) else None
