"""Measure how well features fit labels of several classes before training.

``features`` are [n, d], ``labels`` [n, c]: 1, 0, NaN for unknown.
"""

import numpy as np

from hubtl.tasks.fit import evidence, likely
from hubtl.tasks.multilabel.measuring import average_precision


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean LogME of the classes' labels. Only classes that some rows have count.

    See ``hubtl.tasks.fit.evidence``.
    """
    return float(np.mean([evidence(f, y[:, None]) for f, y in _classes(features, labels, 1)]))


def linear_probe(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the cross-validated mean average precision of a logistic regression per class.

    Classes with fewer than two rows, or with all rows but one, are left out.
    """
    found = [average_precision(likely(f, y), y) for f, y in _classes(features, labels, 2)]
    return float(np.mean(found))


def _classes(features: np.ndarray, labels: np.ndarray, least: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows whose label is known, by class.

    Raises:
        ValueError: where no class has ``least`` rows with and without it.
    """
    found = []
    for column in labels.T:
        known = ~np.isnan(column)
        if min((column == 1).sum(), (column == 0).sum()) >= least:
            found.append((features[known], column[known]))
    if not found:
        raise ValueError(f"no class is there in {least} rows and away in {least} others")
    return found
