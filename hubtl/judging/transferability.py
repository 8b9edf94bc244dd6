"""How well features fit labels, before any training: scores that rank backbones. Arrays in, one float out, in float64.

``features`` are [n, d], ``labels`` int [n] from 0 (classes that do not occur change nothing). Higher is better, of
``proxy_a_distance`` lower. All are invariant to the order of rows; ``h_score`` and ``linear_probe`` also to shifts.
"""

import warnings

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, pinvh
from sklearn.covariance import ledoit_wolf
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 5
SEED = 0  # of the folds: the same rows are held out for every backbone
TINY = 1e-200
FLOOR = 1e-10  # of the noise's variance: features that hold the label itself have an evidence without bound


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """LogME: the log evidence of a Bayesian linear model of the features, a row (You et al. 2021, arXiv:2102.11005).

    For each class ``y = 1[label = class]``, with ``w ~ N(0, I/α)`` and ``y | w ~ N(Fw, I/β)``::

        log p(y) = ½ (n log β + Σ log(α / (α + β σ²)) − β |y − Fm|² − α |m|² − n log 2π),   m = β (αI + βFᵀF)⁻¹ Fᵀy

    maximised over α and β by MacKay's fixed point ``γ = Σ βσ²/(α + βσ²)``, ``α ← γ/|m|²``, ``β ← (n − γ)/|y − Fm|²``;
    the mean over classes, divided by n. σ are the singular values of F. No intercept, as in the paper.

    Deviations: iterated until the evidence stands still, at most 500 times, not 11; the determinant counts all d directions where
    d > n, too (the authors' code leaves out d − n of them); the variance of the noise is at least 1e-10; classes that
    do not occur are left out of the mean.
    """
    f, y = _checked(features, labels)
    n, d = f.shape
    # of the smaller Gram matrix: the squares of the singular values, and the targets in its basis
    values, vectors = np.linalg.eigh(f.T @ f if d <= n else f @ f.T)
    kept = values > max(values[-1], 0.0) * max(n, d) * np.finfo(np.float64).eps
    squares, vectors = values[kept], vectors[:, kept]
    targets = np.stack([(y == c).astype(np.float64) for c in np.unique(y)], axis=1)
    inside = (vectors.T @ (f.T @ targets)) ** 2 / squares[:, None] if d <= n else (vectors.T @ targets) ** 2
    outside = np.maximum((targets**2).sum(0) - inside.sum(0), 0.0)  # what no linear map of the features can reach
    return float(np.mean([_evidence(squares, inside[:, c], outside[c], n) for c in range(targets.shape[1])]))


def _evidence(squares: np.ndarray, inside: np.ndarray, outside: float, n: int) -> float:
    """The largest log evidence a row; ``inside`` are the squared coordinates of the target in F's left basis."""
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


def leep(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """LEEP: mean log likelihood of the labels given the pretrained classifier's guesses (Nguyen et al. 2020,
    arXiv:2002.12462).

    ``probabilities`` θ [n, z] are the softmax of the backbone's own classifier over the classes that it was trained on::

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
    """H-score: the share of the features' variance that lies between classes (Bao et al. 2019, arXiv:2212.10082), with
    a shrunk covariance (Ibrahim et al. 2022, arXiv:2110.06893).

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
    """Accuracy of a logistic regression on standardised features, each row predicted by one that has not seen it.

    ``FOLDS`` stratified folds, fewer where a class has fewer rows; classes with one row are left out. Raises ValueError
    where fewer than two classes are left.
    """
    f, y = _checked(features, labels)
    counts = np.bincount(y)
    f, y = f[counts[y] > 1], y[counts[y] > 1]
    if len(np.unique(y)) < 2:
        raise ValueError("a linear probe needs two rows of each of two classes")
    folds = StratifiedKFold(min(FOLDS, int(counts[counts > 1].min())), shuffle=True, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the accuracy is that of the fit it reached
        return float((cross_val_predict(_probe(), f, y, cv=folds) == y).mean())


def proxy_a_distance(source: np.ndarray, target: np.ndarray) -> float:
    """How well two domains can be told apart by their features: ``2 (1 − 2ε)``, from 0 (not at all) to 2 (always).

    ε is the cross-validated error of ``linear_probe``'s classifier, source against target, equally many rows of each
    (Ben-David et al. 2007). Deviations: logistic regression for the SVM; a classifier that is worse than chance counts
    as chance.
    """
    n = min(len(source), len(target))
    rng = np.random.default_rng(SEED)
    rows = [part[np.sort(rng.permutation(len(part))[:n])] for part in (source, target)]
    accuracy = linear_probe(np.concatenate(rows), np.repeat([0, 1], n))
    return max(0.0, 2 * (1 - 2 * (1 - accuracy)))


def _probe() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))


def _checked(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As float64 and int64. Raises ValueError for shapes that do not match and values that are not finite."""
    x, y = np.asarray(rows, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if x.ndim != 2 or y.shape != (len(x),) or not len(x) or y.min() < 0:
        raise ValueError(f"rows of {list(x.shape)} and labels of {list(y.shape)} do not belong together")
    if not np.isfinite(x).all():
        raise ValueError(f"{int((~np.isfinite(x)).any(1).sum())} of {len(x)} rows are not finite")
    return x, y
