"""Losses of self-training, on cases worked by hand."""

import math

import pytest
import torch

from hubtl.losses import selftraining as losses


def logits(*rows):
    """Logits whose softmax is the given rows."""
    return torch.tensor(rows).log()


def test_confident_rows_reach_the_threshold():
    labels, sure = losses.confident(logits([0.95, 0.05], [0.3, 0.7]), 0.9)
    assert labels.tolist() == [0, 1]
    assert sure.tolist() == [True, False]


def test_masked_cross_entropy_divides_by_all_rows():
    value = losses.masked_cross_entropy(
        logits([0.5, 0.5], [0.25, 0.75]), torch.tensor([0, 0]), torch.tensor([True, False])
    )
    assert float(value) == pytest.approx(0.5 * math.log(2))  # −ln 0.5 over two rows


def test_aligned_probabilities_are_as_frequent_as_the_sources():
    """By hand: the means are (0.6, 0.4) and (0.3, 0.7), so that the classes are multiplied by 1/2 and 7/4."""
    source, target = logits([0.3, 0.7]), logits([0.8, 0.2], [0.4, 0.6])
    first, second = losses.aligned(target, source).tolist()
    assert first == pytest.approx([0.4 / 0.75, 0.35 / 0.75])
    assert second == pytest.approx([0.2 / 1.25, 1.05 / 1.25])


def test_aligned_to_the_same_frequencies_nothing_changes():
    target = torch.randn(16, 5)
    assert torch.allclose(losses.aligned(target, target), target.softmax(dim=1), atol=1e-6)
    assert not losses.aligned(target.requires_grad_(), target).requires_grad


def test_the_relative_threshold_is_a_share_of_the_sources_mean_confidence():
    value = losses.relative_threshold(logits([0.9, 0.1], [0.3, 0.7]), 0.9)
    assert float(value) == pytest.approx(0.9 * 0.8)


def test_masked_soft_cross_entropy_by_hand():
    """Row one: −(0.75 ln 0.5 + 0.25 ln 0.5) = ln 2, over two rows; row two is masked."""
    value = losses.masked_soft_cross_entropy(
        logits([0.5, 0.5], [0.1, 0.9]), torch.tensor([[0.75, 0.25], [1.0, 0.0]]), torch.tensor([True, False])
    )
    assert float(value) == pytest.approx(0.5 * math.log(2))


def test_spread_completes_label_smoothing():
    y, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    plain = torch.nn.functional.cross_entropy(y, labels)
    smoothed = torch.nn.functional.cross_entropy(y, labels, label_smoothing=0.1)
    assert torch.allclose(0.9 * plain + 0.1 * losses.spread(y), smoothed)
    # −(ln 0.5 + ln 0.25 + ln 0.25) / 3 = 5 ln 2 / 3
    assert float(losses.spread(logits([0.5, 0.25, 0.25]))) == pytest.approx(5 * math.log(2) / 3)


def test_diversity_is_the_entropy_of_the_mean():
    # means 0.5, 0.5 → ln 2; means 0.75, 0.25 → 0.75 · 0.28768 + 0.25 · 1.38629 = 0.56234
    assert float(losses.diversity(logits([0.9, 0.1], [0.1, 0.9]))) == pytest.approx(math.log(2))
    assert float(losses.diversity(logits([0.9, 0.1], [0.6, 0.4]))) == pytest.approx(0.56234, abs=1e-5)


def test_consistency_by_hand_and_no_gradient_to_the_teacher():
    student, teacher = logits([0.5, 0.5], [0.5, 0.5]).requires_grad_(), logits([0.9, 0.1], [0.6, 0.4]).requires_grad_()
    value = losses.consistency(student, teacher, torch.tensor([True, False]))
    assert value.item() == pytest.approx((0.4**2 + 0.4**2) / 2)
    value.backward()
    assert teacher.grad is None
    assert student.grad[0].abs().sum() > 0
    assert student.grad[1].abs().sum() == 0


def test_class_balance_is_least_for_equal_classes():
    # mean 0.5, 0.5: −(ln 0.5 / 2 + ln 0.5 / 2) = ln 2; mean 0.8, 0.2: −(ln 0.8 + ln 0.2) / 2 = 0.91629
    assert float(losses.class_balance(logits([0.9, 0.1], [0.1, 0.9]))) == pytest.approx(math.log(2))
    assert float(losses.class_balance(logits([0.8, 0.2]))) == pytest.approx(0.91629, abs=1e-5)


def test_centroids_mend_a_wrong_prediction():
    features = torch.tensor([[4.0, 0.0], [4.0, 1.0], [0.0, 4.0], [1.0, 4.0], [0.2, 4.0]])
    said = logits([0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.6, 0.4])
    assert said.argmax(dim=1).tolist() == [0, 0, 1, 1, 0]
    assert losses.centroid_labels(features, said).tolist() == [0, 0, 1, 1, 1]


def test_classes_that_are_hardly_predicted_take_no_part():
    features = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    said = logits([0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1])
    assert losses.centroid_labels(features, said).tolist() == [0, 0, 1]
    assert losses.centroid_labels(features, said, min_count=1).tolist() == [0, 0, 0]
    assert losses.centroid_labels(features, said, min_count=9).tolist() == [0, 0, 1]  # none left: the predictions


def test_neighbours_leave_the_row_itself_out():
    bank = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    near = losses.neighbours(bank[[0, 2]], bank, torch.tensor([0, 2]), 1)
    assert near.tolist() == [[1], [3]]
    assert losses.neighbours(bank, bank, torch.arange(4), 10).shape == (4, 3)


def test_attraction_and_dispersion_by_hand():
    p = torch.tensor([[0.8, 0.2], [0.4, 0.6]])
    scores = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    # row 0 with rows 0, 1: 0.8 + 0.5; row 1 with rows 1, 2: 0.5 + 0.6; the mean of 1.3 and 1.1
    assert float(losses.attraction(p, torch.tensor([[0, 1], [1, 2]]), scores)) == pytest.approx(-1.2)
    # 0.8 · 0.4 + 0.2 · 0.6 = 0.44 for either row
    assert float(losses.dispersion(p)) == pytest.approx(0.44)
