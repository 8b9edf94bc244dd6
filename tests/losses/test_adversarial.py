"""Margin disparity, classifier discrepancy and joint transport, worked by hand."""

import math

import pytest
import torch

from hubtl.losses.adversarial import disagreement, margin_disparity, unevenness
from hubtl.losses.transport import joint_cost, transport_plan


def test_margin_disparity_by_hand():
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(4.0)]])  # p = (3/4, 1/4), (1/5, 4/5)
    expected = (-math.log(1 / 4) - math.log(4 / 5)) / 2
    assert margin_disparity(logits, torch.tensor([0, 0])) == pytest.approx(expected, rel=1e-5)  # but for the offset


def test_margin_disparity_is_finite_where_the_adversary_is_certain():
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    loss = margin_disparity(logits, torch.tensor([0]))
    loss.backward()
    assert loss.item() == pytest.approx(6 * math.log(10))  # −log(0 + 1e-6)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().max() < 1e-12  # what agrees for certain pulls no more


def test_unevenness_by_hand():
    even, one = torch.log(torch.tensor([[0.9, 0.1], [0.1, 0.9]])), torch.log(torch.tensor([[0.75, 0.25]]))
    assert unevenness(even) == pytest.approx(math.log(2), rel=1e-5)  # both means are a half
    assert unevenness(one) == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2, rel=1e-5)


def test_disagreement_by_hand():
    even, certain = torch.zeros(1, 2), torch.tensor([[math.log(3.0), 0.0]])
    assert disagreement(even, certain) == pytest.approx(0.25)  # |1/2 − 3/4| for each of two classes
    assert disagreement(even, even) == 0


def test_joint_cost_by_hand():
    source, target = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    logits = torch.tensor([[math.log(3.0), 0.0]])
    cost = joint_cost(source, target, torch.tensor([0, 1]), logits, feature_weight=0.5, label_weight=2.0)
    assert cost.flatten().tolist() == pytest.approx(
        [0.5 * 4 / 2 + 2 * math.log(4 / 3), 0.5 * 8 / 2 + 2 * math.log(4)], rel=1e-5
    )


def test_plan_is_a_permutation_where_one_is_best():
    cost = torch.tensor([[5.0, 1.0, 9.0], [1.0, 5.0, 9.0], [9.0, 9.0, 1.0]], requires_grad=True)
    plan = transport_plan(cost)
    assert not plan.requires_grad
    assert torch.allclose(plan * 3, torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]]), atol=1e-6)


def test_plan_of_unequal_batches_has_uniform_marginals():
    plan = transport_plan(torch.rand(4, 6))
    assert torch.allclose(plan.sum(1), torch.full((4,), 1 / 4), atol=1e-6)
    assert torch.allclose(plan.sum(0), torch.full((6,), 1 / 6), atol=1e-6)
