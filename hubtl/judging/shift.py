"""Measure the shift between two domains under a model: in features and in predictions."""

import contextlib

import numpy as np

from hubtl.judging.validators import Evidence
from hubtl.losses.discrepancy import mk_mmd
from hubtl.record import Shift
from hubtl.tasks.fit import SEED, told


def shift(evidence: Evidence) -> Shift | None:
    """Measure the shift from the evidence, without target labels; None without a source.

    A distance between features is small where a method has made it small, for better or worse. It tells how similar the
    domains look to the model, not how accurate the model is.
    """
    source, target = evidence.source_features, evidence.target_features
    if source is None or target is None or min(len(source), len(target)) < 2:
        return None
    found = Shift(rows=[len(source), len(target)], mmd=float(mk_mmd(source, target)))
    with contextlib.suppress(ValueError):  # features that are not finite, or too few rows
        found.a_distance = proxy_a_distance(source.numpy(), target.numpy())
    labels, logits, task = evidence.source_labels, evidence.target_logits, evidence.task
    if labels is not None and logits is not None and task is not None:
        found.class_prior = task.prior_shift(labels, logits)
    return found


def proxy_a_distance(source: np.ndarray, target: np.ndarray) -> float:
    """Return ``2 (1 − 2ε)``, how separable two domains are: 0 (not at all) to 2 (fully).

    ε is the cross-validated error of a logistic regression, source against target, with equally many rows of each
    (Ben-David et al. 2007). Lower is better. Deviations: logistic regression for the SVM; a critic that is worse than
    chance counts as chance.

    Args:
        source: features [n, d].
        target: features [m, d].

    Raises:
        ValueError: for features that are not finite, and for fewer than two rows.
    """
    n = min(len(source), len(target))
    rng = np.random.default_rng(SEED)
    rows = [part[np.sort(rng.permutation(len(part))[:n])] for part in (source, target)]
    domains = np.repeat([0, 1], n)
    wrong = float((told(np.concatenate(rows), domains) != domains).mean())
    return max(0.0, 2 * (1 - 2 * wrong))
