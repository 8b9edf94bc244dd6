"""RSD and DARE-GRAM: their distances by hand, and a regression that gives up what only the source has."""

import math
from functools import cache

import pytest
import torch

from hubtl.losses.subspaces import inverse_gram_gap, subspace_distance
from hubtl.modules import Encoder
from hubtl.strategies.dare_gram import DAREGram
from hubtl.strategies.rsd import RSD
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Progress
from hubtl.tasks.regression import Regression
from tests.tiny import Flat, Rows, sealed, train

START = Progress(0, 0, 0, 0.0)


def planes(angle, lengths=(3.0, 2.0)):
    """Two batches of two rows whose planes share a line. They are in eight dimensions, and turned by an angle."""
    e = torch.eye(8)
    source = torch.stack([3.0 * e[0], 2.0 * e[1]])
    turned = math.cos(angle) * e[0] + math.sin(angle) * e[2]
    return source, torch.stack([lengths[0] * turned, lengths[1] * e[1]])


def test_the_distance_of_subspaces_is_the_sum_of_sines_whatever_the_scale():
    source, target = planes(0.7)
    for scale in (1.0, 7.0):
        distance, apart = subspace_distance(source, scale * target)
        assert float(distance) == pytest.approx(math.sin(0.7), abs=1e-6)
        assert float(apart) == pytest.approx(0.0, abs=1e-6)


def test_bases_in_another_order_are_a_mismatch():
    source, target = planes(0.7, lengths=(2.0, 3.0))
    distance, apart = subspace_distance(source, target, mismatch=0.1)
    assert float(apart) == pytest.approx(2.0, abs=1e-6)  # |P_s| is the identity, |P_t| swaps
    assert float(distance) == pytest.approx(math.sin(0.7) + 0.2, abs=1e-6)


def test_a_batch_of_more_rows_than_features_is_told_from_another():
    torch.manual_seed(0)
    source, target = torch.randn(40, 6) * torch.tensor([9.0, 8, 7, 1, 1, 1]), torch.randn(40, 6)
    near, _ = subspace_distance(source, source + 0.01 * torch.randn(40, 6), 0.0)
    far, _ = subspace_distance(source, target * torch.tensor([1.0, 1, 1, 7, 8, 9]), 0.0)
    assert float(near) < 0.1 < 2.0 < float(far)


def by_definition(source, target, threshold):
    """Angle and scale from the Gram matrices themselves, by their eigenvectors."""
    grams, values = [], []
    for features in (source, target):
        z = torch.cat([torch.ones(len(features), 1), features], 1).double()
        of, vectors = torch.linalg.eigh(z.T @ z)
        grams.append((of.flip(0), vectors.flip(1)))
        values.append(int((of.flip(0).cumsum(0) / of.sum() <= threshold).sum()))
    k = max(1, *values)
    inverse = [v[:, :k] @ torch.diag(1 / of[:k]) @ v[:, :k].T for of, v in grams]
    cosines = torch.nn.functional.cosine_similarity(*inverse, dim=0)
    gap = grams[0][0][:k] - grams[1][0][:k]
    return float((1 - cosines).mean()), float(gap.norm() / k)


@pytest.mark.parametrize(("rows", "width"), [(12, 30), (30, 12)])
def test_inverse_gram_matrices_are_compared_at_the_rank_that_the_threshold_gives(rows, width):
    torch.manual_seed(1)
    scales = torch.linspace(3, 0.2, width)
    source, target = torch.randn(rows, width) * scales, 1.5 * torch.randn(rows, width) * scales
    found = [float(value) for value in inverse_gram_gap(source, target, 0.9)]
    assert found == pytest.approx(by_definition(source, target, 0.9), rel=1e-4)
    assert [float(v) for v in inverse_gram_gap(source, source)] == pytest.approx([0.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("cls", [RSD, DAREGram])
def test_rows_that_repeat_give_no_gradient_that_is_not_finite(cls):
    task = Regression(["y"])
    strategy = cls(Encoder(Flat()), task.head(32), task, cls.Options())
    x = torch.randn(4, 8).repeat(2, 1)
    rows = Rows(x, torch.randn(8, 1).numpy())
    (loss,) = strategy.step(rows.fetch(range(8)), sealed(rows).fetch(range(8)), at=START)
    loss.total.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in strategy.parameters())


def domain(seed, *, helpful):
    """A number that two of eight dimensions carry in any domain.

    Two more carry it, most exactly, where they are ``helpful``.
    """
    generator = torch.Generator().manual_seed(seed)
    y = torch.rand(512, 1, generator=generator) * 4 + 10
    noise = torch.randn(512, 8, generator=generator)
    x = 0.1 * noise
    x[:, :2] += (y - 12) + noise[:, :2] * torch.tensor([0.0, 0.3])
    x[:, 2:4] += (y - 12) if helpful else noise[:, 2:4]
    return Rows(x, y.numpy())


@cache
def fitted(cls, **options):
    """MAE on source and target, and both distances between their features."""
    source, target = domain(0, helpful=True), domain(1, helpful=False)
    torch.manual_seed(0)
    encoder, task = Encoder(Flat()), Regression(["y"])
    task.learn(source.labels)
    strategy = cls(encoder, task.head(encoder.width), task, cls.Options(**options))
    train(strategy, {"source": source, "target": sealed(target)}, steps=200)
    strategy.eval()
    with torch.no_grad():
        features = [encoder({"image": rows.x}).pooled for rows in (source, target)]
        errors = [
            task.evaluation(strategy.head(z), rows.labels).value
            for z, rows in zip(features, (source, target), strict=True)
        ]
    return *errors, float(subspace_distance(*(z[:32] for z in features))[0]), float(inverse_gram_gap(*features)[0])


def test_rsd_turns_the_subspaces_onto_each_other_and_errs_no_more():
    on_source, on_target, distance, _ = fitted(RSD, weight=0.1)
    plain = fitted(SourceOnly)
    assert distance < 0.75 * plain[2]
    assert on_source < 0.1
    assert on_target < plain[1]


def test_dare_gram_aligns_the_inverse_gram_matrices_and_errs_less_on_the_target():
    on_source, on_target, _, angle = fitted(DAREGram, angle=1.0, scale=0.01)
    plain = fitted(SourceOnly)
    assert angle < 0.5 * plain[3]
    assert on_source < 0.15
    assert on_target < 0.75 * plain[1]
