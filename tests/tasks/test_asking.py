"""Labels of single rows, by task: what may be typed, where two models disagree, and which of them is nearer."""

import numpy as np
import pytest
import torch

from hubtl.errors import HubtlError
from hubtl.record import Outputs
from hubtl.tasks import Task
from hubtl.tasks.asking import NONE
from hubtl.tasks.classification import Classification
from hubtl.tasks.multilabel import MultiLabel
from hubtl.tasks.regression import Regression


def compared(task, before, after, *typed):
    one, other = (task.answered(torch.tensor(outputs)) for outputs in (before, after))
    labels = np.stack([task.typed(text) for text in typed])
    return task.disagree(one, other).tolist(), task.nearer(one, other, labels).tolist()


def test_a_class_is_typed_in_any_case_and_right_or_wrong():
    task = Classification(["cat", "Big Dog", "2"])
    assert task.choices() == ["cat", "Big Dog", "2", NONE]
    assert [int(task.typed(text)) for text in (" CAT", "big_dog", "2.0", NONE)] == [0, 1, 2, -1]
    assert [task.spelt(task.typed(text), text) for text in ("CAT", "None of these")] == ["cat", NONE]
    with pytest.raises(HubtlError, match="unknown class 'cow'"):
        task.typed("cow")
    rows = [[1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]]
    others = [[0, 1.0, 0], [0, 1.0, 0], [0, 0, 1.0], [0, 2.0, 1.0]]
    apart, nearer = compared(task, rows, others, "big dog", "cat", "big dog", "cat")
    assert apart == [True, True, True, False]
    assert nearer == [1, -1, 0, 0]


def test_what_is_none_of_the_classes_is_the_output_for_the_unknown():
    task = Classification(["cat", "dog", "unknown"])
    task.unknown = 2
    assert task.choices() == ["cat", "dog", NONE]
    assert int(task.typed(NONE)) == 2
    before, after = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]])  # source-only has no such output
    assert task.nearer(task.answered(before), task.answered(after), np.array([2])).tolist() == [1]


def test_a_set_of_classes_is_nearer_with_fewer_wrong():
    task = MultiLabel(["a", "b", "c, d"])
    assert task.typed("b, A").tolist() == [1, 1, 0]
    assert task.typed("c, d").tolist() == [0, 0, 1]
    assert task.typed(NONE).tolist() == [0, 0, 0]
    assert task.spelt(task.typed("b;a"), "b;a") == "a, b"
    yes, no = 3.0, -3.0
    rows = [[yes, no, no], [yes, yes, no], [yes, no, no]]
    others = [[yes, yes, no], [no, no, no], [yes, no, no]]
    apart, nearer = compared(task, rows, others, "a, b", "a, b", "b")
    assert (apart, nearer) == ([True, True, False], [1, -1, 0])


def test_each_model_answers_by_its_own_thresholds():
    low, high = (MultiLabel(Outputs(names=["a", "b"], details={"thresholds": [t, t]})) for t in (0.1, 0.9))
    same = torch.tensor([[0.0, 0.0]])
    assert low.answered(same).tolist() == [[True, True]]
    assert high.answered(same).tolist() == [[False, False]]


def test_numbers_are_nearer_by_their_errors_in_units_of_the_labels_spread():
    task = Regression(Outputs(names=["x", "y"], details={"scale": [1.0, 100.0]}))
    assert task.choices() == []
    assert task.typed(" 1.5, -2e1").tolist() == [1.5, -20.0]
    for wrong in ("1.5", "1,2,3", "one,2", "inf,1", "", "-,-"):
        with pytest.raises(HubtlError, match="is no label of x, y"):
            task.typed(wrong)
    rows, others = [[0.0, 0.0], [2.0, 0.0], [0.0, 0.0]], [[1.0, 90.0], [0.0, 30.0], [0.0, 0.0]]
    apart, nearer = compared(task, rows, others, "1,0", "0,0", "0,-")
    assert (apart, nearer) == ([True, True, False], [1, 1, 0])


class Counts(Regression):
    """A task of a plugin that says nothing of single rows."""

    typed, spelt, answered, nearer = (getattr(Task, name) for name in ("typed", "spelt", "answered", "nearer"))


def test_a_task_that_says_nothing_compares_losses_and_reads_its_own_labels():
    task = Counts(Outputs(names=["label"]))
    assert task.typed("4").tolist() == [4.0]
    with pytest.raises(HubtlError):
        task.typed("four")
    apart, nearer = compared(task, [[1.0], [4.0], [2.0]], [[3.5], [9.0], [2.0]], "4", "4", "4")
    assert (apart, nearer) == ([True, True, False], [1, -1, 0])
