"""Measure how well features fit classes before training.

Arrays in, one float out, in float64; higher is better. ``features`` are [n, d], ``labels`` int [n] from 0 (classes that
do not occur change nothing). All are invariant to the order of rows; ``h_score`` and ``linear_probe`` also to shifts.
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, pinvh
from scipy.special import softmax
from sklearn.covariance import ledoit_wolf

from hubtl.tasks.fit import checked, evidence, told


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Return LogME of one-hot labels, the mean over the classes that occur.

    See ``hubtl.tasks.fit.evidence``.
    """
    f, y = _checked(features, labels)
    return evidence(f, np.stack([(y == c).astype(np.float64) for c in np.unique(y)], axis=1))


def leep(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return LEEP, the mean log likelihood of labels under a pretrained classifier.

    Source: Nguyen et al. 2020, arXiv:2002.12462.

    ``probabilities`` θ [n, z] are the softmax of the backbone's own classifier over the classes that it was trained
    on::

        P(y, z) = (1/n) Σ_i 1[y_i = y] θ(x_i)_z,   P(y | z) = P(y, z) / Σ_y P(y, z)
        LEEP = (1/n) Σ_i log Σ_z P(y_i | z) θ(x_i)_z

    Deviation: a class z to which no row gives any probability is left out. At most 0.
    """
    theta, y = _checked(probabilities, labels)
    joint = np.stack([theta[y == c].sum(0) for c in range(y.max() + 1)]) / len(y)
    marginal = joint.sum(0)
    given = joint[:, marginal > 0] / marginal[marginal > 0]
    likelihood = (given[y] * theta[:, marginal > 0]).sum(1)
    return float(np.log(likelihood).mean())


def h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the H-score, the share of the features' variance between classes.

    Sources: Bao et al. 2019, arXiv:2212.10082, with a shrunk covariance (Ibrahim et al. 2022, arXiv:2110.06893).

    ``H = tr(Σ_λ⁻¹ (1 − λ) Σ_b)`` with ``Σ_b = cov(E[f | y])`` and ``Σ_λ = (1 − λ) cov(f) + λ tr(cov(f))/d · I``, λ by
    Ledoit and Wolf. Between 0 and the number of classes less one.

    Deviation from the first paper, which has λ = 0: there the score is that upper bound for *any* features with d ≥ n,
    noise too, and nothing would be ranked.
    """
    f, y = _checked(features, labels)
    centred = f - f.mean(0)
    covariance, shrinkage = ledoit_wolf(centred, assume_centered=True)
    classes, counts = np.unique(y, return_counts=True)
    means = np.stack([centred[y == c].mean(0) for c in classes]) * np.sqrt(counts / len(y))[:, None]
    try:  # tr(Σ⁻¹ MᵀM), of which M has a row a class
        solved = cho_solve(cho_factor(covariance), means.T)
    except LinAlgError:  # constant features and no shrinkage
        solved = pinvh(covariance) @ means.T
    return float((1 - shrinkage) * (means.T * solved).sum())


def linear_probe(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the cross-validated accuracy of a logistic regression on standardised features.

    Folds are stratified, fewer where a class has fewer rows; classes with one row are left out.

    Raises:
        ValueError: where fewer than two classes are left.
    """
    f, y = _checked(features, labels)
    counts = np.bincount(y)
    f, y = f[counts[y] > 1], y[counts[y] > 1]
    if len(np.unique(y)) < 2:
        raise ValueError("a linear probe needs two rows of each of two classes")
    return float((told(f, y) == y).mean())


def guesses(features: np.ndarray, classifier: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """Return a pretrained classifier's softmax [n, z] on features. It is in float64.

    Args:
        features: features [n, d].
        classifier: weight [z, d] and bias [z].

    Raises:
        ValueError: where there is no classifier.
    """
    if classifier is None:
        raise ValueError("no classifier came with its weights")
    weight, bias = (part.astype(np.float64) for part in classifier)
    return np.asarray(softmax(features.astype(np.float64) @ weight.T + bias, axis=1))


def _checked(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64 and int64.

    Raises:
        ValueError: for shapes that do not match and values that are not finite.
    """
    y = np.asarray(labels, dtype=np.int64)
    if y.ndim != 1 or not len(y) or y.min() < 0:
        raise ValueError(f"rows of {list(np.shape(rows))} and labels of {list(y.shape)} do not belong together")
    return checked(rows, len(y)), y
