"""Losses agree with their formulas on cases worked by hand. They stay finite where floats run out."""

import math

import pytest
import torch

from hubtl.losses import class_confusion, covariance_gap, domain_accuracy, domain_loss, entropy


def logits_of(rows, temperature=1.0):
    return temperature * torch.tensor(rows).log()


# Covariances: rows (1, 0), (−1, 0) give diag(2, 0); rows (0, 1), (0, −1) give diag(0, 2); unbiased, so divided by n − 1.
X = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
Y = torch.tensor([[0.0, 1.0], [0.0, -1.0]])


def test_covariance_gap_by_hand():
    assert covariance_gap(X, Y).item() == pytest.approx((2**2 + 2**2) / (4 * 2**2))  # 0.5


def test_covariance_gap_counts_what_is_off_the_diagonal_twice():
    rising, falling = torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert covariance_gap(rising, falling).item() == pytest.approx(2 * 4**2 / 16)  # [[0, 4], [4, 0]]


def test_covariance_gap_takes_batches_of_different_sizes():
    third = torch.cat([Y, torch.zeros(1, 2)])  # diag(0, 2 / 2)
    assert covariance_gap(X, third).item() == pytest.approx((2**2 + 1**2) / 16)


def test_covariance_gap_is_blind_to_shifts_and_nought_for_equals():
    assert covariance_gap(X, X).item() == 0
    assert covariance_gap(X, Y + 100).item() == pytest.approx(0.5, rel=1e-4)


def test_entropy_by_hand():
    rows = logits_of([[0.25, 0.25, 0.25, 0.25], [0.5, 0.25, 0.125, 0.125]])
    assert entropy(rows).tolist() == pytest.approx([math.log(4), 1.75 * math.log(2)])


def test_entropy_of_a_sure_prediction_is_nought():
    assert entropy(torch.tensor([[1e4, -1e4]])).item() == 0


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_class_confusion_of_uniform_predictions_is_its_maximum(classes):
    """Every entry of M is 1 / c: ΣM − tr M = c − 1."""
    assert class_confusion(torch.zeros(6, classes)).item() == pytest.approx((classes - 1) / classes)


def test_class_confusion_of_sure_predictions_of_every_class_is_nought():
    assert class_confusion(50 * torch.eye(4), 1.0).item() == pytest.approx(0, abs=1e-6)


def test_class_confusion_by_hand_with_equal_weights():
    """M = [[.64 + .04, .32], [.32, .68]]: its rows sum to 1 already; (2 − 1.36) / 2."""
    rows = [[0.8, 0.2], [0.2, 0.8]]
    assert class_confusion(logits_of(rows), 1.0).item() == pytest.approx(0.32)


def test_class_confusion_by_hand_with_weights_by_certainty():
    """w = 1 + exp(−H): 1.72247 and 1.5, at mean 1: 1.06904 and 0.93096.

    M = [[1.09866, .32895], [.32895, .24343]]; its rows over their sums: off the diagonal .23042 and .57471.
    """
    rows = [[0.9, 0.1], [0.5, 0.5]]
    assert class_confusion(logits_of(rows), 1.0).item() == pytest.approx((0.23042 + 0.57471) / 2, abs=1e-5)


def test_class_confusion_softens_by_its_temperature():
    rows = [[0.9, 0.1], [0.5, 0.5]]
    assert class_confusion(logits_of(rows, 2.5)).item() == pytest.approx(class_confusion(logits_of(rows), 1.0).item())


def test_class_confusion_does_not_learn_through_its_weights():
    """The gradient is the formula's with weights held fast. Finite differences in float64 tell."""
    logits = logits_of([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    w = 1 + torch.exp(-entropy(logits)).double()
    w = w * len(w) / w.sum()

    def held(rows):
        p = rows.softmax(dim=1)
        m = (p * w[:, None]).T @ p
        m = m / m.sum(dim=1, keepdim=True)
        return (m.sum() - m.trace()) / 2

    leaf = logits.clone().requires_grad_()
    class_confusion(leaf, 1.0).backward()
    for place in ((0, 0), (1, 1), (2, 0)):
        step = torch.zeros(3, 2, dtype=torch.float64)
        step[place] = 1e-5
        slope = (held(logits.double() + step) - held(logits.double() - step)) / 2e-5
        assert leaf.grad[place].item() == pytest.approx(slope.item(), abs=1e-5)


def test_domain_loss_by_hand():
    """σ(ln 3) = ¾. Source: −ln ¾; target: mean of −ln ¾ and ln 2; each domain weighs one half."""
    source, target = torch.tensor([math.log(3)]), torch.tensor([-math.log(3), 0.0])
    expected = 0.5 * (-math.log(0.75) + (-math.log(0.75) + math.log(2)) / 2)
    assert domain_loss(source, target).item() == pytest.approx(expected)
    assert domain_loss(torch.zeros(3), torch.zeros(7)).item() == pytest.approx(math.log(2))


def test_domain_accuracy_weighs_both_domains_the_same():
    assert domain_accuracy(torch.tensor([2.0]), torch.tensor([-1.0, -1.0, -1.0, 1.0])).item() == pytest.approx(0.875)


def both(features):
    return covariance_gap(features, features.flip(1) * 0.5)


def critic(features):
    return domain_loss(features[:, 0], features[:, 1])


LOSSES = {
    "entropy": lambda rows: entropy(rows).mean(),
    "class_confusion": class_confusion,
    "domain_loss": critic,
    "covariance_gap": both,
}
EXTREMES = {
    "random": 1e4 * torch.randn(16, 5, generator=torch.Generator().manual_seed(0)),
    "one class alone": torch.tensor([[1e4, -1e4, -1e4, -1e4, -1e4]]).repeat(16, 1),
    "alike": torch.full((16, 5), -1e4),
}


@pytest.mark.parametrize("values", EXTREMES)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_are_finite_for_huge_logits(name, values):
    leaf = EXTREMES[values].clone().requires_grad_()
    loss = LOSSES[name](leaf)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_losses_compute_in_float32_under_bf16_autocast(name):
    values = 3 * torch.randn(16, 5, generator=torch.Generator().manual_seed(1))
    low = values.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = LOSSES[name](low)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, LOSSES[name](low.float()))


@pytest.mark.parametrize("logit", [20.0, 200.0, 1e4])
def test_class_confusion_does_not_reward_collapse_however_sure_it_is(logit):
    """Entries of M of classes that nothing predicts lean on one class: as bad as knowing nothing."""
    sure = torch.tensor([[logit, 0.0, 0.0]]).repeat(8, 1)
    assert class_confusion(sure, 1.0).item() == pytest.approx(2 / 3, abs=1e-4)
