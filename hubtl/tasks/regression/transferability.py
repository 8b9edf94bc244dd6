"""Measure how well features fit numbers before training.

``features`` are [n, d], ``labels`` float [n, k], NaN: not known.
"""

import numpy as np

from hubtl.tasks.fit import evidence, guessed
from hubtl.tasks.regression.measuring import explained


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Return LogME of standardised labels, the mean over outputs whose labels differ.

    See ``hubtl.tasks.fit.evidence``. Deviation from the paper: labels are standardised, so that their unit does not
    matter.
    """
    return float(np.mean([evidence(f, ((y - y.mean()) / y.std())[:, None]) for f, y in _outputs(features, labels)]))


def linear_probe(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean cross-validated R² of a ridge regression on standardised features."""
    return float(np.mean([explained(guessed(f, y), y) for f, y in _outputs(features, labels)]))


def _outputs(features: np.ndarray, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows that have a label, by output.

    Raises:
        ValueError: where no output's labels differ.
    """
    known = [(np.isfinite(column), column.astype(np.float64)) for column in labels.T]
    found = [(features[rows], column[rows]) for rows, column in known if rows.any() and np.ptp(column[rows]) > 0]
    if not found:
        raise ValueError("all labels are one value")
    return found
