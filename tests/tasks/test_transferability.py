"""Scores that rank backbones: against their formulas spelled out, worked cases, and what must not change them."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from hubtl.judging.shift import proxy_a_distance
from hubtl.tasks.classification import transferability as scores
from hubtl.tasks.multilabel import transferability as of_several
from hubtl.tasks.regression import transferability as of_numbers


def clouds(n: int = 60, d: int = 5, classes: int = 3, gap: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian classes, their means ``gap`` standard deviations from the origin or so."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return rng.normal(size=(n, d)) + gap * rng.normal(size=(classes, d))[y], y


def evidence_by_grid(f: np.ndarray, y: np.ndarray) -> float:
    """log N(y; 0, I/β + FFᵀ/α), the largest on a grid of log α and log β refined three times."""
    n = len(y)
    low, high = np.array([-6.0, -6.0]), np.array([8.0, 8.0])
    best = -np.inf
    for _ in range(4):
        grid = [np.linspace(a, b, 25) for a, b in zip(low, high, strict=True)]
        for log_alpha in grid[0]:
            for log_beta in grid[1]:
                covariance = np.eye(n) / np.exp(log_beta) + f @ f.T / np.exp(log_alpha)
                value = multivariate_normal.logpdf(y, np.zeros(n), covariance)
                if value > best:
                    best, at = value, np.array([log_alpha, log_beta])
        width = (high - low) / 12
        low, high = at - width, at + width
    return float(best)


@pytest.mark.parametrize(("n", "d"), [(24, 3), (12, 12), (10, 16)])
def test_logme_is_the_largest_evidence_a_row_averaged_over_classes(n, d):
    f, y = clouds(n=n, d=d, gap=1.0)
    naive = np.mean([evidence_by_grid(f, (y == c).astype(float)) / n for c in range(3)])
    assert scores.logme(f, y) == pytest.approx(naive, abs=2e-4)


def test_logme_of_a_worked_case():
    """One feature that is 1 for every row, half the labels 0: w and the noise share it. By hand with n = 2:
    FFᵀ = [[1, 1], [1, 1]] has σ² = 2, its direction (1, 1)/√2 holds ½ of |y|² = 1, and ½ lies outside. The evidence of
    both is that of two independent normals with variances 1/β + 2/α and 1/β, each best at the squares met: ½ and ½.
    Hence α → ∞, and log p = −½ (2 log ½ + 2 + 2 log 2π) = log 2 − 1 − log 2π.
    """
    assert scores.logme(np.ones((2, 1)), np.array([0, 1])) == pytest.approx(
        0.5 * (np.log(2) - 1 - np.log(2 * np.pi)), abs=1e-4
    )


def test_logme_prefers_separable_features_and_falls_with_noise():
    values = [scores.logme(*clouds(n=300, d=20, gap=gap)) for gap in (0.0, 0.5, 1.0, 3.0)]
    assert values == sorted(values)
    assert values[-1] - values[0] > 0.5


def test_logme_does_not_depend_on_scale_rotation_order_or_names_of_classes():
    f, y = clouds()
    base = scores.logme(f, y)
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    order = rng.permutation(len(y))
    for other in ((1000 * f, y), (f @ turn, y), (f[order], y[order]), (f, 2 - y), (f, 3 * y)):
        assert scores.logme(*other) == pytest.approx(base, abs=1e-6)
    assert scores.logme(np.hstack([f, np.zeros((60, 7))]), y) == pytest.approx(base, abs=1e-9)


def test_logme_of_features_that_are_the_label_is_high_and_finite():
    y = np.arange(40) % 4
    perfect = scores.logme(np.eye(4)[y], y)
    assert np.isfinite(perfect)
    assert perfect > scores.logme(*clouds(n=40, d=4, classes=4, gap=3.0)) + 1


def test_logme_of_features_without_any_content_is_that_of_noise_alone():
    """Without features β = n/Σy², and log p = −½ n (log(2π Σy²/n) + 1)."""
    y = np.array([0, 0, 0, 1])
    share = np.array([0.75, 0.25])
    naive = np.mean(-0.5 * (np.log(2 * np.pi * share) + 1))
    assert scores.logme(np.zeros((4, 3)), y) == pytest.approx(naive, abs=1e-6)


def test_leep_is_its_double_loop():
    rng = np.random.default_rng(0)
    theta = rng.dirichlet(np.ones(6), size=40)
    y = rng.integers(0, 3, size=40)
    joint = np.zeros((3, 6))
    for i in range(40):
        for z in range(6):
            joint[y[i], z] += theta[i, z] / 40
    total = 0.0
    for i in range(40):
        likelihood = 0.0
        for z in range(6):
            likelihood += joint[y[i], z] / sum(joint[c, z] for c in range(3)) * theta[i, z]
        total += np.log(likelihood)
    assert scores.leep(theta, y) == pytest.approx(total / 40, abs=1e-12)


def test_leep_of_worked_cases():
    y = np.array([0, 0, 1, 1])
    assert scores.leep(np.eye(2)[y], y) == pytest.approx(0.0)  # each source class stands for one target class
    assert scores.leep(np.full((4, 3), 1 / 3), y) == pytest.approx(np.log(0.5))  # says nothing: the classes' shares
    assert scores.leep(np.hstack([np.eye(2)[y], np.zeros((4, 2))]), y) == pytest.approx(0.0)  # two are never guessed


def test_h_score_is_its_formula_with_explicit_covariances():
    f, y = clouds(n=90, d=4)
    n, d = f.shape
    mean = f.mean(0)
    covariance = sum(np.outer(row - mean, row - mean) for row in f) / n
    between = sum((y == c).mean() * np.outer(f[y == c].mean(0) - mean, f[y == c].mean(0) - mean) for c in range(3))
    # Ledoit and Wolf (2004): how far single rows' covariances scatter, over how far their mean is from a sphere
    sphere = np.trace(covariance) / d * np.eye(d)
    far = ((covariance - sphere) ** 2).sum() / d
    scatter = sum(((np.outer(row - mean, row - mean) - covariance) ** 2).sum() for row in f) / n**2 / d
    shrinkage = min(scatter, far) / far
    shrunk = (1 - shrinkage) * covariance + shrinkage * sphere
    naive = np.trace(np.linalg.inv(shrunk) @ ((1 - shrinkage) * between))
    assert 0 < shrinkage < 1
    assert scores.h_score(f, y) == pytest.approx(naive, rel=1e-9)


def test_h_score_lies_between_nothing_and_all_classes_less_one():
    assert scores.h_score(*clouds(n=3000, gap=0.0)) < 0.02
    assert 1.95 < scores.h_score(*clouds(n=3000, gap=50.0)) <= 2.0
    f, y = clouds()
    assert scores.h_score(f + 100, y) == pytest.approx(scores.h_score(f, y))


def test_h_score_of_noise_with_more_features_than_rows_is_not_the_bound():
    noise, y = clouds(n=40, d=200, gap=0.0)
    centred = noise - noise.mean(0)
    between = np.cov(np.stack([centred[y == c].mean(0) for c in y]).T, bias=True)
    assert np.trace(np.linalg.pinv(np.cov(centred.T, bias=True)) @ between) == pytest.approx(2.0)  # the first paper's
    assert scores.h_score(noise, y) < 0.5
    assert scores.h_score(*clouds(n=40, d=200, gap=2.0)) > 1.5


def test_h_score_of_constant_features_is_nothing():
    assert scores.h_score(np.ones((10, 3)), np.arange(10) % 2) == pytest.approx(0.0)


def test_the_probe_scores_rows_that_it_has_not_seen():
    noise, y = clouds(n=100, d=400, classes=2, gap=0.0)  # a fit on all rows would be right on every one
    assert 0.3 < scores.linear_probe(noise, y) < 0.7
    assert scores.linear_probe(*clouds(n=120, d=10, gap=3.0)) > 0.95


def test_the_probe_leaves_classes_out_that_cannot_be_held_out():
    f, y = clouds(n=61, d=4, classes=2, gap=4.0)
    y[0] = 2
    assert scores.linear_probe(f, y) == scores.linear_probe(f[1:], y[1:])
    with pytest.raises(ValueError, match="two rows of each of two classes"):
        scores.linear_probe(f[:3], np.array([0, 0, 1]))


def test_the_a_distance_is_nothing_for_one_domain_and_two_for_two():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(400, 6)), rng.normal(size=(300, 6))
    assert proxy_a_distance(a, b) < 0.2
    assert proxy_a_distance(a, b + 20) == pytest.approx(2.0)
    apart = [proxy_a_distance(a, b + shift) for shift in (0.0, 0.3, 1.0)]
    assert apart == sorted(apart)


@pytest.mark.parametrize("score", [scores.logme, scores.h_score, scores.linear_probe, scores.leep])
def test_rows_that_are_no_numbers_or_not_as_many_as_labels_are_refused(score):
    f, y = clouds()
    with pytest.raises(ValueError, match="do not belong together"):
        score(f[1:], y)
    f[3, 2] = np.nan
    with pytest.raises(ValueError, match="1 of 60 rows are not finite"):
        score(f, y)


def numbers(n=120, d=6, noise=0.1, seed=0):
    """Features, and two columns that are linear in them but for noise; one row in ten lacks the second."""
    rng = np.random.default_rng(seed)
    f = rng.normal(size=(n, d))
    y = 40 + 9 * f @ rng.normal(size=(d, 2)) + 9 * noise * rng.normal(size=(n, 2))
    y[::10, 1] = np.nan
    return f, y


@pytest.mark.parametrize("score", [of_numbers.logme, of_numbers.linear_probe])
def test_scores_of_numbers_fall_with_noise_and_do_not_depend_on_the_unit(score):
    values = [score(*numbers(noise=noise)) for noise in (0.1, 1.0, 10.0)]
    assert values == sorted(values, reverse=True)
    f, y = numbers()
    assert score(f, 1000 * y - 7) == pytest.approx(score(f, y), abs=1e-6)


def test_logme_of_numbers_is_the_largest_evidence_a_row():
    f, y = numbers(n=20, d=3)
    known = y[np.isfinite(y[:, 1]), 1]
    parts = [(f, y[:, 0]), (f[np.isfinite(y[:, 1])], known)]
    naive = np.mean([evidence_by_grid(x, (v - v.mean()) / v.std()) / len(v) for x, v in parts])
    assert of_numbers.logme(f, y) == pytest.approx(naive, abs=2e-3)


def test_the_probe_of_numbers_scores_rows_that_it_has_not_seen():
    rng = np.random.default_rng(0)
    noise, y = rng.normal(size=(60, 200)), rng.normal(size=(60, 1))  # a fit on all rows would explain everything
    assert of_numbers.linear_probe(noise, y) < 0.2
    assert of_numbers.linear_probe(*numbers()) > 0.95
    with pytest.raises(ValueError, match="all labels are one value"):
        of_numbers.linear_probe(noise, np.ones((60, 1)))


def several(n=160, gap=2.0, seed=0):
    """Features, and three classes that are there or not.

    Each is shown by one feature; a tenth is not known. a tenth is not known.
    """
    rng = np.random.default_rng(seed)
    there = (rng.random((n, 3)) < 0.4).astype(float)
    f = rng.normal(size=(n, 8)) + gap * np.pad(there, ((0, 0), (0, 5)))
    there[::10, 0] = np.nan
    return f, there


@pytest.mark.parametrize("score", [of_several.logme, of_several.linear_probe])
def test_scores_of_several_classes_rise_with_what_features_show(score):
    values = [score(*several(gap=gap)) for gap in (0.0, 1.0, 4.0)]
    assert values == sorted(values)
    f, there = several()
    silent = np.hstack([there, np.zeros((len(f), 1))])  # a class that no row has says nothing
    assert score(f, silent) == score(f, there)
    with pytest.raises(ValueError, match="no class is there"):
        score(f, np.zeros((len(f), 2)))
