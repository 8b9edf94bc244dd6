"""Figures by hand: what counts, what does not, and what is not measured."""

import numpy as np
import pytest
import torch

from hubtl.tasks.classification.measuring import calibration_error
from hubtl.tasks.classification.measuring import figures_of as evaluation

CLASSES = ["a", "b", "c"]


def predictions(*classes, sure=3.0):
    return sure * torch.eye(3)[list(classes)]


def test_calibration_error_by_hand():
    """Two rows at .95, both right: a gap of .05; two at .65, one right: a gap of .15; each bin holds half of the rows."""
    p = np.array([[0.95, 0.05], [0.05, 0.95], [0.65, 0.35], [0.65, 0.35]])
    assert calibration_error(p, np.array([0, 1, 0, 1])) == pytest.approx(0.5 * 0.05 + 0.5 * 0.15)


def test_calibration_error_of_sure_and_right_is_nought_and_of_sure_and_wrong_one():
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert calibration_error(sure, np.array([0, 1])) == 0
    assert calibration_error(sure, np.array([1, 0])) == 1


def test_figures_by_hand():
    """Truth a a a b; predicted a a b b. Recalls 2/3 and 1; precisions 1 and 1/2; F1 0.8 and 2/3. No row is of c."""
    found = evaluation(predictions(0, 0, 1, 1), np.array([0, 0, 0, 1]), CLASSES)
    assert found.n == 4
    assert found.accuracy == pytest.approx(0.75)
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert found.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)
    assert found.confusion == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert found.predicted_counts == [2, 2, 0]
    a, b, c = found.per_class
    assert (a.n, a.recall, a.precision) == (3, pytest.approx(2 / 3), 1.0)
    assert (b.n, b.recall, b.precision) == (1, 1.0, 0.5)
    assert (c.n, c.recall, c.precision, c.f1) == (0, None, None, None)


def test_a_class_that_is_never_predicted_has_no_precision_but_a_recall():
    found = evaluation(predictions(0, 0), np.array([0, 2]), CLASSES)
    assert found.per_class[2].recall == 0
    assert found.per_class[2].precision is None


def test_rows_of_unknown_classes_count_nowhere():
    with_unknown = evaluation(predictions(0, 1, 1, 2, 2), np.array([0, 1, 0, -1, -1]), CLASSES)
    assert (with_unknown.n, with_unknown.unknown_class_rows) == (3, 2)
    with_unknown.figures.unknown_class_rows = 0
    assert with_unknown == evaluation(predictions(0, 1, 1), np.array([0, 1, 0]), CLASSES)


def test_without_labels_nothing_is_measured_but_what_was_predicted():
    found = evaluation(predictions(0, 1, 1), None, CLASSES)
    assert (found.n, found.predicted_counts) == (3, [1, 2, 0])
    assert (found.accuracy, found.balanced_accuracy, found.macro_f1, found.ece) == (None, None, None, None)
    assert found.per_class == found.confusion == []


def test_labels_of_unknown_classes_alone_measure_nothing():
    found = evaluation(predictions(0, 1), np.array([-1, -1]), CLASSES)
    assert (found.n, found.accuracy) == (0, None)
