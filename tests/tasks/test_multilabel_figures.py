"""Average precision, thresholds, losses and figures of sets of classes. sklearn and cases worked by hand confirm them."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score, f1_score

from hubtl.judging.difference import difference
from hubtl.record import Evaluation, LabelSets, Outputs
from hubtl.tasks.multilabel import MultiLabel, MultiLabelFigures
from hubtl.tasks.multilabel.measuring import average_precision, best_threshold, figures_of, resampled
from hubtl.tasks.multilabel.task import MultiLabelOptions

NAN = float("nan")
CLOSED = LabelSets(setting="closed")


def drawn(n=200, c=4, seed=0, ties=False):
    """Probabilities that tell something about labels. A few cells have no label."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, c)) < np.linspace(0.1, 0.6, c)).astype(np.float32)
    scores = 1 / (1 + np.exp(-(1.5 * labels + rng.normal(size=(n, c)) - 1)))
    labels[rng.random((n, c)) < 0.1] = np.nan
    return (np.round(scores, 1) if ties else scores), labels


@pytest.mark.parametrize("ties", [False, True])
def test_figures_are_those_of_sklearn_on_the_cells_that_are_known(ties):
    scores, labels = drawn(ties=ties)
    thresholds = np.array([0.3, 0.4, 0.5, 0.6])
    found = figures_of(scores, labels, list("abcd"), thresholds).figures
    known = ~np.isnan(labels)
    aps = [average_precision_score(labels[k, i], scores[k, i]) for i, k in enumerate(known.T)]
    f1s = [f1_score(labels[k, i], scores[k, i] > thresholds[i]) for i, k in enumerate(known.T)]
    assert [score.ap for score in found.per_class] == pytest.approx(aps)
    assert [score.f1 for score in found.per_class] == pytest.approx(f1s)
    assert found.map == pytest.approx(np.mean(aps))
    assert found.macro_f1 == pytest.approx(np.mean(f1s))
    assert found.micro_f1 == pytest.approx(f1_score(labels[known], (scores > thresholds)[known]))
    assert found.missing_cells == int((~known).sum())
    assert [score.n for score in found.per_class] == np.nansum(labels, axis=0).astype(int).tolist()


def test_weights_are_rows_that_are_repeated():
    scores, labels = drawn(40, 1, ties=True)
    known = ~np.isnan(labels[:, 0])
    score, truth = scores[known, 0], labels[known, 0] == 1
    weights = np.random.default_rng(1).integers(0, 4, (5, len(score)))
    whole = [average_precision_score(np.repeat(truth, w), np.repeat(score, w)) for w in weights]
    assert average_precision(score, truth, weights) == pytest.approx(whole)
    assert np.isnan(average_precision(score, truth, np.where(truth, 0, weights[:1])))[0]


def test_a_class_that_no_row_has_or_every_row_is_not_measured_and_leaves_the_mean():
    scores, labels = drawn(50, 3)
    labels[:, 1], labels[:, 2] = 0, 1
    found = figures_of(scores, labels, list("abc"), np.full(3, 0.5)).figures
    assert [score.ap is None for score in found.per_class] == [False, True, True]
    assert found.map == found.per_class[0].ap


def test_rows_without_any_label_are_counted_and_not_scored_and_without_labels_there_are_only_predictions():
    scores, labels = drawn(50, 3)
    labels[:7] = np.nan
    every = figures_of(scores, labels, list("abc"), np.full(3, 0.5))
    rest = figures_of(scores[7:], labels[7:], list("abc"), np.full(3, 0.5))
    assert (every.n, every.unlabelled_rows) == (43, 7)
    assert every.value == rest.value
    blind = figures_of(scores, None, list("abc"), np.full(3, 0.5))
    assert blind.value is None
    assert [score.predicted for score in blind.figures.per_class] == (scores > 0.5).sum(axis=0).tolist()


def test_the_interval_covers_the_value_and_narrows_with_rows_and_the_difference_of_a_better_model_is_above_nought():
    wide, narrow = (figures_of(*drawn(n), list("abcd"), np.full(4, 0.5)) for n in (60, 1500))
    for found in (wide, narrow):
        low, high = found.primary.interval
        assert low < found.value < high
    assert np.ptp(narrow.primary.interval) < np.ptp(wide.primary.interval) / 2
    scores, labels = drawn(300)
    noise = np.random.default_rng(3).normal(size=scores.shape)
    one, other = (figures_of(s, labels, list("abcd"), np.full(4, 0.5)) for s in (scores + noise, scores))
    apart = difference(one, other)
    assert 0 < apart.low < other.value - one.value < apart.high


def test_thresholds_maximise_f1_and_lie_between_two_scores():
    scores, labels = drawn(80, 1)
    known = ~np.isnan(labels[:, 0])
    score, truth = scores[known, 0], labels[known, 0] == 1
    cut = best_threshold(score, truth)
    best = max(f1_score(truth, score > t) for t in np.r_[0, np.sort(score)[:-1]])
    assert f1_score(truth, score > cut) == pytest.approx(best)
    assert cut not in score
    assert best_threshold(score, np.zeros_like(truth)) == 0.5
    assert best_threshold(np.array([0.2, 0.8, 0.8]), np.array([False, True, True])) == pytest.approx(0.5)


def test_binary_losses_are_summed_over_known_cells_and_a_row_without_labels_costs_nothing():
    outputs = torch.tensor([[0.3, -1.0, 2.0], [0.5, 0.5, 0.5]], requires_grad=True)
    labels = torch.tensor([[1.0, 0.0, NAN], [NAN, NAN, NAN]])
    losses = MultiLabel(["a", "b", "c"]).losses(outputs, labels)
    by_hand = -F.logsigmoid(torch.tensor(0.3)) - F.logsigmoid(torch.tensor(1.0))
    assert losses.tolist() == pytest.approx([float(by_hand), 0.0])
    losses.sum().backward()
    assert outputs.grad is not None
    assert outputs.grad[0, 2] == 0
    assert outputs.grad[1].abs().sum() == 0
    assert torch.isfinite(outputs.grad).all()


def test_the_asymmetric_loss_is_its_formula():
    task = MultiLabel(["a", "b", "c"], MultiLabelOptions(loss="asymmetric"))
    outputs = torch.tensor([[0.7, -0.4, -4.0]])
    p = outputs.sigmoid()[0]
    q = p[1] - 0.05
    by_hand = -((1 - p[0]) * p[0].log()) - q**4 * (1 - q).log()  # the third is below the clip
    assert float(task.losses(outputs, torch.tensor([[1.0, 0.0, 0.0]]))[0]) == pytest.approx(float(by_hand), rel=1e-5)
    far = torch.tensor([[80.0, -80.0]], requires_grad=True)
    MultiLabel(["a", "b"], task.options).losses(far, torch.tensor([[0.0, 1.0]])).sum().backward()
    assert torch.isfinite(far.grad).all()


def test_positives_of_rare_classes_weigh_more_up_to_a_cap_by_the_training_rows_counts():
    labels = np.zeros((100, 3), np.float32)
    labels[:50, 0], labels[:20, 1], labels[:1, 2] = 1, 1, 1
    labels[90:, 1] = np.nan
    plain, weighted = MultiLabel(["a", "b", "c"]), MultiLabel(["a", "b", "c"], MultiLabelOptions(positive_weight=10))
    for task in (plain, weighted):
        task.learn(labels)
    ones, outputs = torch.ones(1, 3), torch.zeros(1, 3)
    assert float(plain.losses(outputs, ones)) == pytest.approx(3 * math.log(2))
    assert float(weighted.losses(outputs, ones)) == pytest.approx((1 + 3.5 + 10) * math.log(2), rel=1e-5)
    assert plain.chance() < 3 * math.log(2)


def test_what_is_fitted_of_a_model_decides_its_answers_and_leaves_the_task_of_the_run_alone():
    scores, labels = drawn(100, 3)
    task = MultiLabel(["a", "b", "c"])
    logits = torch.from_numpy(np.log(scores / (1 - scores))).float()
    fitted = task.fit(logits, labels)
    assert task.outputs.details == {}
    assert fitted.outputs.details["threshold_rows"] == 100
    again = MultiLabel(Outputs.model_validate(fitted.outputs.model_dump(mode="json")))
    answers = again.decode([str(i) for i in range(100)], logits)
    said = np.array([[name in answer.labels for name in "abc"] for answer in answers])
    np.testing.assert_array_equal(said, logits.double().sigmoid().numpy() > fitted.thresholds)
    before, after = (t.evaluation(logits, labels) for t in (task, fitted))
    assert after.value == before.value
    assert after.figures.macro_f1 > before.figures.macro_f1
    best = max(answers, key=lambda answer: len(answer.labels))
    chances = [best.probabilities[name] for name in best.labels]
    assert chances == sorted(chances, reverse=True)


def test_an_answer_has_its_labels_their_probabilities_and_the_most_probable_classes_besides():
    (answer,) = MultiLabel(["a", "b", "c"]).decode(["x.png"], torch.tensor([[2.0, -3.0, 1.0]]))
    assert answer.row() == {"input": "x.png", "labels": ["a", "c"], "probabilities": [0.8808, 0.7311]}
    assert list(answer.row(2).items())[3:] == [
        ("label_1", "a"), ("probability_1", 0.880797), ("label_2", "c"), ("probability_2", 0.731059),
    ]  # fmt: skip
    (none,) = MultiLabel(["a", "b"]).decode(["y.png"], torch.tensor([[-1.0, -2.0]]))
    assert none.row()["labels"] == []


def test_collapse_is_the_same_probabilities_for_every_row_whatever_lies_above_the_thresholds():
    task = MultiLabel(["a", "b"])
    assert task.collapse(torch.full((9, 2), 1.3), CLOSED) == "every row gets the same probabilities"
    low = torch.linspace(-4, -1, 9).repeat(2, 1).T
    fitted = MultiLabel(Outputs(names=["a", "b"], details={"thresholds": [0.5, 0.5]}))
    for rows in (low, -low, torch.tensor([[1.0, -1.0], [-1.0, 1.0]])):  # none above, all above, some
        assert task.collapse(rows, CLOSED) is None
        assert fitted.collapse(rows, CLOSED) is None
    assert fitted.spread(torch.full((9, 2), 1.3), None)["collapsed"] == 1.0
    assert fitted.spread(low, None)["collapsed"] == 0.0


def test_the_score_of_a_guard_rail_is_the_map_and_missing_cells_do_not_count():
    scores, labels = drawn()
    logits = torch.from_numpy(np.log(scores / (1 - scores)))
    task = MultiLabel(list("abcd"))
    assert task.score(logits, labels) == pytest.approx(task.evaluation(logits, labels).value)
    assert resampled(scores, labels)(np.ones((1, len(labels))))[0] == pytest.approx(task.score(logits, labels))


def test_figures_survive_the_record_and_numbers_alone_have_no_lists():
    found = figures_of(*drawn(), list("abcd"), np.full(4, 0.5))
    again = Evaluation.model_validate_json(found.model_dump_json())
    assert isinstance(again.figures, MultiLabelFigures)
    assert again.figures.model_dump() == found.figures.model_dump()
    assert again.primary == found.primary
    assert found.slim().figures.per_class == []
    assert found.slim().primary.interval == found.primary.interval


def test_the_shift_of_labels_is_how_far_the_shares_of_classes_lie_apart():
    task = MultiLabel(["a", "b"])
    labels = np.array([[1, 0], [1, 0], [0, NAN], [0, 1]], np.float32)
    outputs = torch.tensor([[1.0, -1.0], [1.0, -1.0], [1.0, -1.0], [1.0, -1.0]])
    assert task.prior_shift(labels, outputs) == pytest.approx((0.5 + 1 / 3) / 2)
