"""Measure how well features fit labels before training. The figures rank backbones and compare domains.

Arrays in, one float out, in float64; higher is better. All are invariant to the order of rows.
"""

import warnings
from collections.abc import Iterator

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 5
SEED = 0  # of the folds: the same rows are held out for every backbone
TINY = 1e-200
FLOOR = 1e-10  # of the noise's variance: features that hold the label itself have an evidence without bound


def evidence(features: np.ndarray, targets: np.ndarray) -> float:
    """Return LogME, the log evidence of a Bayesian linear model, per row.

    Source: You et al. 2021, arXiv:2102.11005.

    For each column y of ``targets`` [n, k], with ``w ~ N(0, I/α)`` and ``y | w ~ N(Fw, I/β)``::

        log p(y) = ½ (n log β + Σ log(α / (α + β σ²)) − β |y − Fm|² − α |m|² − n log 2π),   m = β (αI + βFᵀF)⁻¹ Fᵀy

    maximised over α and β by MacKay's fixed point ``γ = Σ βσ²/(α + βσ²)``, ``α ← γ/|m|²``, ``β ← (n − γ)/|y − Fm|²``;
    the mean over columns, divided by n. σ are the singular values of F. No intercept, as in the paper.

    Deviations: iterated until the evidence converges, at most 500 times, not 11; the determinant counts all d
    directions also where d > n (the authors' code leaves out d − n of them); the variance of the noise is at least
    1e-10.

    Args:
        features: features F [n, d].
        targets: targets [n, k], such as one-hot labels.

    Raises:
        ValueError: for shapes that do not match and values that are not finite.
    """
    f, y = checked(features, len(targets)), np.asarray(targets, dtype=np.float64)
    n, d = f.shape
    # of the smaller Gram matrix: the squares of the singular values, and the targets in its basis
    values, vectors = np.linalg.eigh(f.T @ f if d <= n else f @ f.T)
    kept = values > max(values[-1], 0.0) * max(n, d) * np.finfo(np.float64).eps
    squares, vectors = values[kept], vectors[:, kept]
    inside = (vectors.T @ (f.T @ y)) ** 2 / squares[:, None] if d <= n else (vectors.T @ y) ** 2
    outside = np.maximum((y**2).sum(0) - inside.sum(0), 0.0)  # what no linear map of the features can reach
    return float(np.mean([_evidence(squares, inside[:, c], outside[c], n) for c in range(y.shape[1])]))


def _evidence(squares: np.ndarray, inside: np.ndarray, outside: float, n: int) -> float:
    """Return the largest log evidence per row.

    ``inside`` are the squared coordinates of the target in F's left basis.
    """
    alpha = beta = 1.0
    best = before = -np.inf
    for _ in range(500):
        gain = beta * squares / (alpha + beta * squares)
        fitted = float((inside * gain**2 / squares).sum())  # |m|²
        missed = float((inside * (1 - gain) ** 2).sum()) + outside
        evidence = 0.5 * float(
            n * np.log(beta)
            + np.log(alpha / (alpha + beta * squares)).sum()
            - beta * missed
            - alpha * fitted
            - n * np.log(2 * np.pi)
        )
        best = max(best, evidence)  # the fixed point may step over the top
        if abs(evidence - before) < 1e-10 * n:
            break
        before = evidence
        free = float(gain.sum())
        alpha = min(max(free / max(fitted, TINY), TINY), 1 / TINY) if free > 0 else alpha
        beta = min(max(n - free, TINY) / max(missed, TINY), 1 / FLOOR)
    return best / n


def told(features: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return each row's predicted group [n]. A cross-validated logistic regression predicts it.

    It uses standardised features and ``FOLDS`` stratified folds, fewer where a group has fewer rows.

    Args:
        features: features [n, d].
        groups: groups [n], whole numbers from 0.

    Raises:
        ValueError: where there are fewer than two groups, or a group has one row.
    """
    f, counts = checked(features, len(groups)), np.unique(groups, return_counts=True)[1]
    if len(counts) < 2 or counts.min() < 2:
        raise ValueError("two rows of each of two groups are needed")
    folds = StratifiedKFold(min(FOLDS, int(counts.min())), shuffle=True, random_state=SEED)
    found = np.empty(len(f), dtype=np.int64)
    for fitted, rows in _fitted(LogisticRegression(max_iter=300), f, groups, folds.split(f, groups)):
        found[rows] = fitted.predict(f[rows])
    return found


def chances(features: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return each row's probability of each group [n, k]. A cross-validated logistic regression gives it.

    It is regularised more than that of ``told``, so that few rows of many features do not make it certain.

    Args:
        features: features [n, d].
        groups: groups [n], whole numbers from 0 to k − 1, each there.

    Raises:
        ValueError: where there are fewer than two groups, or a group has one row.
    """
    f, counts = checked(features, len(groups)), np.unique(groups, return_counts=True)[1]
    if len(counts) < 2 or counts.min() < 2:
        raise ValueError("two rows of each of two groups are needed")
    folds = StratifiedKFold(min(FOLDS, int(counts.min())), shuffle=True, random_state=SEED)
    found = np.zeros((len(f), len(counts)))
    for fitted, rows in _fitted(LogisticRegression(C=0.05, max_iter=300), f, groups, folds.split(f, groups)):
        found[np.ix_(rows, fitted.classes_)] = fitted.predict_proba(f[rows])
    return found


def likely(features: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return the log-odds [n] of a cross-validated logistic regression.

    Args:
        features: features [n, d].
        there: 0 or 1 [n].

    Raises:
        ValueError: where one of both has fewer than two rows.
    """
    f, counts = checked(features, len(there)), np.bincount(there.astype(np.int64), minlength=2)
    if counts.min() < 2:
        raise ValueError("two rows of each of two groups are needed")
    folds = StratifiedKFold(min(FOLDS, int(counts.min())), shuffle=True, random_state=SEED)
    found = np.empty(len(f))
    for fitted, rows in _fitted(LogisticRegression(max_iter=300), f, there, folds.split(f, there)):
        found[rows] = fitted.decision_function(f[rows])
    return found


def guessed(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the values [n] that a cross-validated ridge regression predicts.

    Args:
        features: features [n, d].
        values: values [n].

    Raises:
        ValueError: for fewer than 4 rows.
    """
    f = checked(features, len(values))
    if len(f) < 4:
        raise ValueError("four rows with a label are needed")
    found = np.empty(len(f))
    folds = KFold(min(FOLDS, len(f)), shuffle=True, random_state=SEED)
    for fitted, rows in _fitted(Ridge(1.0), f, values, folds.split(f)):
        found[rows] = fitted.predict(f[rows])
    return found


def _fitted(
    model: object, f: np.ndarray, y: np.ndarray, folds: Iterator[tuple[np.ndarray, np.ndarray]]
) -> Iterator[tuple[Pipeline, np.ndarray]]:
    """Yield each fold's fitted model and rows. A model is fitted on the other folds."""
    for seen, rows in folds:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the score is that of the fit it reached
            yield make_pipeline(StandardScaler(), model).fit(f[seen], y[seen]), rows


def checked(rows: np.ndarray, n: int) -> np.ndarray:
    """Return rows [n, d] as float64.

    Raises:
        ValueError: for another shape, and for values that are not finite.
    """
    x = np.asarray(rows, dtype=np.float64)
    if x.ndim != 2 or len(x) != n or not n:
        raise ValueError(f"rows of {list(x.shape)} and {n} labels do not belong together")
    if not np.isfinite(x).all():
        raise ValueError(f"{int((~np.isfinite(x)).any(1).sum())} of {len(x)} rows are not finite")
    return x
