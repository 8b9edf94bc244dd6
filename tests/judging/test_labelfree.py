"""Scores without target labels: worked cases, and what each likes and dislikes."""

import math

import numpy as np
import pytest
import torch

from hubtl import plugins
from hubtl.judging.validators import Evidence
from hubtl.judging.validators.weighted import density_ratio, weighted_risk
from hubtl.tasks.classification import Classification


def score(name, **evidence):
    return plugins.load("validators", name)().score(Evidence(step=1, task=Classification(), **evidence))


def certain(labels, classes=3, sharpness=50.0):
    return sharpness * torch.nn.functional.one_hot(torch.tensor(labels), classes).float()


def test_bnm_by_hand():
    assert score("bnm", target_logits=certain([0, 1, 2])) == pytest.approx(1.0)  # the identity: 3 / √(3·3)
    assert score("bnm", target_logits=certain([0, 0, 0])) == pytest.approx(math.sqrt(3) / 3)


def test_snd_by_hand():
    two_pairs = certain([0, 0, 1, 1])  # similarity 1 inside a pair, 0 outside: one neighbour, no entropy
    assert score("snd", target_logits=two_pairs) == pytest.approx(0.0, abs=1e-6)
    one_group = certain([0, 0, 0, 0])
    assert score("snd", target_logits=one_group) == pytest.approx(math.log(3))


def test_ami_likes_classes_that_are_clusters():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(90) % 3
    features = torch.eye(3)[y] + 0.05 * torch.randn(90, 3, generator=generator)
    right = score("ami", target_logits=certain(y.tolist()), target_features=features)
    wrong = score("ami", target_logits=certain(y.roll(31).sort().values.tolist()), target_features=features)
    assert right == pytest.approx(1.0)
    assert wrong < 0.2
    assert score("ami", target_logits=certain([0] * 90), target_features=features) == 0


def test_weighted_risk_by_hand():
    # w = (1, 3), l = (2, 1): wl = (2, 3), cov = 0.5, var = 1, η = −0.5; 2.5 − 0.5 · (2 − 1)
    assert weighted_risk(np.array([1.0, 3.0]), np.array([2.0, 1.0])) == pytest.approx(2.0)
    assert weighted_risk(np.ones(2), np.array([2.0, 1.0])) == pytest.approx(1.5)


def test_density_ratio_grows_towards_the_target():
    rng = np.random.default_rng(0)
    source, target = rng.normal(0, 1, (400, 2)), rng.normal([1, 0], 1, (200, 2))
    ratio = density_ratio(source, target)
    assert ratio.mean() == pytest.approx(1.0, abs=0.2)
    assert np.corrcoef(np.log(ratio), source[:, 0])[0, 1] > 0.95


def test_dev_prefers_the_model_that_is_right_where_the_target_is():
    rng = np.random.default_rng(0)
    source = torch.from_numpy(rng.normal(0, 1, (300, 2))).float()
    target = torch.from_numpy(rng.normal([1.5, 0], 1, (300, 2))).float()
    labels = np.zeros(300, dtype=int)
    here = certain((source[:, 0] < 0).long().tolist(), 2, 4.0)  # right where x > 0, near the target
    there = certain((source[:, 0] > 0).long().tolist(), 2, 4.0)
    found = [
        score("dev", source_logits=logits, source_labels=labels, source_features=source, target_features=target)
        for logits in (here, there)
    ]
    assert found[0] > found[1] + 1
