"""The labels of a domain, as its task reads them."""

from dataclasses import dataclass, field

import numpy as np

from hubtl.record import Outputs


@dataclass(frozen=True)
class Labels:
    """What the labels of a domain mean, and those of each split."""

    outputs: Outputs
    values: list[np.ndarray]  # of each split [n, …], in the task's own type
    notes: list[str] = field(default_factory=list)  # what to tell the user
