"""The boundary of the unknown and partial weights, worked by hand."""

import math

import pytest
import torch

from hubtl.losses.openset import class_weights, importance, unknown_boundary


def logits_of(*rows):
    return torch.tensor(rows).log()


def test_the_boundary_by_hand():
    """p_u = 1/4 and 1/2 at t = 1/2: −½ log ¼ − ½ log ¾, and log 2."""
    logits = logits_of([0.5, 0.25, 0.25], [0.25, 0.25, 0.5])
    expected = (-0.5 * math.log(1 / 4) - 0.5 * math.log(3 / 4) + math.log(2)) / 2
    assert unknown_boundary(logits, 2).item() == pytest.approx(expected)
    uneven = -0.9 * math.log(1 / 4) - 0.1 * math.log(3 / 4)
    assert unknown_boundary(logits[:1], 2, 0.9).item() == pytest.approx(uneven)


@pytest.mark.parametrize("level", [0.3, 0.5])
def test_the_boundary_is_least_where_unknown_is_as_likely_as_the_level(level):
    at = {p: unknown_boundary(logits_of([1 - p, p]), 1, level).item() for p in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9)}
    assert min(at, key=at.get) == level


def test_the_boundary_is_finite_where_the_model_is_certain():
    for first in (200.0, -200.0):
        logits = torch.tensor([[first, 0.0]], requires_grad=True)
        loss = unknown_boundary(logits, 1)
        loss.backward()
        assert loss.item() == pytest.approx(100.0)
        assert torch.isfinite(logits.grad).all()


def test_the_likeliest_class_weighs_one():
    assert class_weights(torch.tensor([0.1, 0.4, 0.5])).tolist() == pytest.approx([0.2, 0.8, 1.0])


def test_rows_that_the_critic_is_sure_are_the_sources_weigh_less():
    """1 − σ is 3/4 and 1/4, whose mean is 1/2."""
    verdict = torch.tensor([-math.log(3.0), math.log(3.0)], requires_grad=True)
    weight = importance(verdict)
    assert weight.tolist() == pytest.approx([1.5, 0.5])
    assert not weight.requires_grad
