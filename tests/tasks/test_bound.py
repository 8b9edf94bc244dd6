"""A lower bound on accuracy without labels: where it separates two models, where it abstains, and where it is said."""

import math

import numpy as np
import pytest
import torch

from hubtl.card import render
from hubtl.cli import show
from hubtl.judging.verdict import verdict
from hubtl.record import Bound, Evaluation, RunRecord
from hubtl.tasks.classification import Classification
from hubtl.tasks.classification import bound as dis2
from hubtl.tasks.regression import Regression
from tests.records import gain

CLASSES = 3


def drawn(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of rows that are nearly all answered rightly, and their labels."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (n,), generator=draw)
    logits = torch.randn(n, CLASSES, generator=draw)
    logits[torch.arange(n), labels] += 4
    return logits, labels


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(dis2, "STARTS", 5)


def after(bound: Bound | None) -> Evaluation:
    return Evaluation(n=100, accuracy=0.5, source_accuracy=0.9, bound=bound)


def test_the_loss_of_a_critic_is_that_of_the_formula():
    weight = torch.tensor([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0]])[..., None]  # [d, c, one critic]
    xs, ys = torch.tensor([[1.0, 1.0]]), torch.tensor([1])
    xt, yt = torch.tensor([[2.0, -1.0]]), torch.tensor([0])
    z, w = (1.5, 2.0, -1.0), (1.5, -2.0, -2.0)
    expected = math.log(sum(math.exp(v) for v in z)) - z[1] + math.log1p(math.exp(w[0] - (w[1] + w[2]) / 2))
    assert float(dis2._loss(weight, xs, ys, xt, yt)) == pytest.approx(expected, rel=1e-5)


def test_where_no_critic_contradicts_the_model_the_bound_separates(few_steps):
    source, labels = drawn(1200, 0)
    target, truth = drawn(1200, 1)
    found = Classification(["a", "b", "c"]).bound(source, labels.numpy(), target, (source, target), beat=0.6)
    assert found.separates
    slack = math.sqrt((600 + 4 * 600) * math.log(10) / (2 * 600 * 600))
    assert found.value <= float((source.argmax(1) == labels).float().mean()) - slack + 1e-6
    assert found.value < float((target.argmax(1) == truth).float().mean())
    said = verdict(after(None), after(found), disagreement=0.3)
    assert said.answer == "adapted"
    assert "Dis²" in said.reason
    assert said.rows == 0


def test_where_a_critic_can_contradict_the_model_it_abstains(few_steps):
    """Half of the target lies where two classes are undecided: it may be wrong on all of it."""
    source, labels = drawn(1200, 0)
    target, _ = drawn(1200, 1)
    target[::2] = torch.tensor([1.0, 3.0, 2.9]) + 0.1 * torch.randn(600, 3, generator=torch.Generator().manual_seed(2))
    found = dis2.bound(source, labels, target, (source, target), beat=0.7)
    assert found.value < 0.7
    assert not found.separates
    said = verdict(after(None), after(found), disagreement=0.3, among=600)
    assert said.answer == "undecided"
    assert said.rows == 20


def test_a_rail_stands_before_the_bound():
    high = Bound(value=0.9, beat=0.5, level=0.9, method="Dis²", rows=[500, 500])
    fallen = after(high).model_copy(update={"collapse": "one class for all rows"})
    assert verdict(after(None), fallen, disagreement=0.3).answer == "source-only"


def test_nothing_is_looked_for_where_it_could_not_separate(monkeypatch):
    monkeypatch.setattr(dis2, "discrepancy", lambda *given: pytest.fail("a critic was trained"))
    source, labels = drawn(40, 0)
    assert (
        dis2.bound(source, labels, source, (source, source), beat=0.7) is None
    )  # few rows: it may be off by more than 0.3
    enough, known = drawn(1200, 0)
    assert dis2.bound(enough, known, enough, (enough, enough), beat=0.95) is None
    assert dis2.bound(source, torch.full((40,), -1), source, (source, source), beat=0.0) is None
    many = torch.randn(1000, 700)
    assert dis2.bound(many, many.argmax(dim=1), many, (many, many), beat=0.0) is None


def test_the_same_rows_give_the_same_bound_and_leave_other_draws_alone(few_steps):
    source, labels = drawn(600, 0)
    target, _ = drawn(600, 1)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    with torch.no_grad():
        one, other = (dis2.bound(source, labels, target, (source, target), beat=0.5) for _ in range(2))
    assert one == other
    assert torch.equal(torch.rand(1), expected)


def test_what_source_only_contradicts_counts_against_the_model(few_steps):
    """A model that is as confident on the target as elsewhere. Source-only answers otherwise on half of the rows."""
    source, labels = drawn(1200, 0)
    target, _ = drawn(1200, 1)
    other = target.clone()
    other[::2] = other[::2].roll(1, dims=1)
    alike = dis2.bound(source, labels, target, (source, target), beat=0.3)
    apart = dis2.bound(source, labels, target, (source, other), beat=0.3)
    assert apart.value < alike.value - 0.4


def test_tasks_without_a_bound_give_none():
    three = torch.zeros(30, 1)
    assert Regression(["y"]).bound(three, np.zeros((30, 1)), three, (three, three), 0.0) is None
    opened = Classification(["a", "b", "unknown"])
    opened.unknown = 2
    source, labels = drawn(1200, 0)
    assert opened.bound(source, labels.numpy(), source, (source, source), 0.0) is None


@pytest.mark.parametrize(("value", "words"), [(0.73, "is at least 73%, above"), (0.4, "is at least 40%, not above")])
def test_a_card_says_the_bound_and_whether_it_decides_and_the_terminal_where_it_does(value, words, tmp_path):
    record = gain()
    record.adapted.bound = Bound(value=value, beat=0.52, level=0.9, method="Dis²", rows=[500, 300])
    record.save(tmp_path)
    again = RunRecord.load(tmp_path)
    assert again.adapted.bound == record.adapted.bound
    text = render(again)
    assert words in text
    assert ("it decides nothing" in text) is (value < 0.52)
    line = show.bound(again)
    assert line is None if value < 0.52 else f"at least {100 * value:.0f}%" in line
