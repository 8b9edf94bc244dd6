"""The distance of domains, and the worth of two models' difference."""

import itertools

import numpy as np
import pytest
import torch

from hubtl.judging.difference import difference
from hubtl.judging.shift import shift
from hubtl.judging.validators import Evidence
from hubtl.tasks.classification import Classification
from hubtl.tasks.classification.measuring import calibration_error, reliability
from hubtl.tasks.classification.measuring import figures_of as evaluation


def evidence(offset, classes=3, n=200, predicted=None):
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randn(n, 8, generator=generator) for _ in range(2))
    labels = np.arange(n) % classes
    chosen = torch.from_numpy(labels if predicted is None else np.full(n, predicted))
    logits = torch.nn.functional.one_hot(chosen, classes).float()
    return Evidence(
        step=0,
        task=Classification(list("abc")),
        source_features=source,
        target_features=target + offset,
        source_labels=labels,
        target_logits=logits,
    )


def test_domains_that_are_alike_are_near_and_others_far():
    near, far = shift(evidence(0.0)), shift(evidence(2.0))
    assert near.a_distance < 0.4 < 1.5 < far.a_distance
    assert abs(near.mmd) < 0.05 < far.mmd
    assert near.rows == [200, 200]


def test_the_class_prior_is_the_total_variation_of_labels_and_predictions():
    assert shift(evidence(0.0)).class_prior == pytest.approx(0.0)
    assert shift(evidence(0.0, predicted=1)).class_prior == pytest.approx(1 - 67 / 200)


def test_without_a_source_there_is_no_shift():
    assert shift(Evidence(step=0, target_features=torch.randn(9, 2), target_logits=torch.randn(9, 2))) is None


def figures(right):
    logits = torch.nn.functional.one_hot(torch.tensor([1 if r else 0 for r in right]), 2).float()
    return evaluation(logits, np.ones(len(right), dtype=np.int64), ["a", "b"])


def test_the_interval_of_a_difference_is_that_of_paired_rows():
    rng = np.random.default_rng(1)
    before = rng.random(1000) < 0.6
    after = np.where(rng.random(1000) < 0.2, True, before)  # a fifth of the rows made right: never one made wrong
    found = difference(figures(before), figures(after))
    gain = after.mean() - before.mean()
    spread = np.sqrt(gain * (1 - gain) / 1000)  # of a share of rows that changed, all in one direction
    assert found.low < gain < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * spread, rel=0.15)
    assert found.low > 0


def test_equal_models_differ_by_nothing_and_other_rows_are_not_compared():
    same = figures([True, False] * 20)
    found = difference(same, figures([True, False] * 20))
    assert (found.low, found.high) == (0, 0)
    assert difference(same, figures([True] * 7)) is None
    assert difference(None, same) is None
    assert difference(evaluation(torch.zeros(40, 2), None, ["a", "b"]), same) is None


def test_rows_right_or_wrong_are_in_no_record():
    assert "_right" not in figures([True, False]).model_dump_json()


def test_reliability_has_every_row_in_one_bin_and_makes_the_calibration_error():
    rng = np.random.default_rng(0)
    p = rng.random((500, 4))
    p /= p.sum(axis=1, keepdims=True)
    labels = rng.integers(0, 4, 500)
    bins = reliability(p, labels)
    assert sum(b.n for b in bins) == 500
    assert sum(b.n * b.accuracy for b in bins) == pytest.approx((p.argmax(axis=1) == labels).sum())
    assert calibration_error(p, labels) == pytest.approx(sum(b.n / 500 * abs(b.confidence - b.accuracy) for b in bins))
    assert all(first.confidence < second.confidence for first, second in itertools.pairwise(bins))
