"""Averages of heads and of weights: exact where they can be, and blind to how sure a model is of itself."""

import copy

import pytest
import torch
from torch import nn

from hubtl.ensembles.agreement import alike, mean_agreement
from hubtl.ensembles.linear import averaged, factors
from hubtl.ensembles.weights import estimated, interpolated, norms
from hubtl.modules import Classifier, Encoder
from hubtl.tasks.classification import Classification
from hubtl.tasks.regression import Regression
from tests import tiny

TASK = Classification(["a", "b", "c"])


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_one_head_answers_as_the_mean_of_the_heads_answers():
    rows = drawn(50, 6)
    heads = [nn.Linear(6, 3) for _ in range(3)]
    counts = [0.2, 0.5, 0.3]
    wanted = sum(count * head(rows) for count, head in zip(counts, heads, strict=True))
    assert torch.allclose(averaged(heads, counts)(rows), wanted, atol=1e-6)
    with pytest.raises(ValueError, match="different shapes"):
        averaged([nn.Linear(6, 3), nn.Linear(6, 4)], [0.5, 0.5])


def test_a_model_that_is_ten_times_surer_does_not_outvote_the_others():
    right, wrong = drawn(200, 3, seed=1), drawn(200, 3, seed=2)
    seen = [*(right + 0.1 * drawn(200, 3, seed=key) for key in (3, 4, 5)), 20 * wrong]
    counts = factors(TASK, seen, [1, 1, 1, 1])
    mixed = sum(count * outputs for count, outputs in zip(counts, seen, strict=True))
    plain = sum(outputs / 4 for outputs in seen)
    kept, lost = ((outputs.argmax(1) == right.argmax(1)).float().mean() for outputs in (mixed, plain))
    assert kept > lost + 0.3
    # its probabilities stay those of a model: the scale is the members' mean
    assert mixed.std() < 6 * right.std()


def test_outputs_with_units_are_averaged_as_they_are():
    task = Regression(["kg"])
    assert factors(task, [drawn(9, 1), 10 * drawn(9, 1)], [3, 1]) == [0.75, 0.25]


def test_models_that_say_nothing_count_by_their_weight():
    assert factors(TASK, [torch.zeros(9, 3), drawn(9, 3)], [1, 1]) == [0.5, 0.5]


def model(seed, *, batchnorm=False):
    torch.manual_seed(seed)
    return Classifier(Encoder(tiny.Flat(batchnorm=batchnorm)), nn.Linear(32, 2)).eval()


def test_averaged_weights_lie_between_and_at_the_ends_are_the_models():
    one, other = model(0), model(1)
    for share in (0.0, 0.3, 1.0):
        made = interpolated([one, other], [share, 1 - share])
        wanted = share * one.head.weight + (1 - share) * other.head.weight
        assert torch.allclose(made.head.weight, wanted, atol=1e-6)
    assert not torch.equal(one.head.weight, made.head.weight) or share == 1.0  # the models stay as they were
    with pytest.raises(ValueError, match="another shape"):
        interpolated([one, Classifier(Encoder(tiny.Flat(width=16)), nn.Linear(16, 2))], [0.5, 0.5])
    more = copy.deepcopy(one)
    width = more.encoder.width
    more.encoder.bottleneck = nn.Linear(width, width)
    for pair in ([one, more], [more, one]):
        with pytest.raises(ValueError, match="layers that another lacks"):
            interpolated(pair, [0.5, 0.5])


def test_statistics_of_batchnorm_are_those_of_the_rows():
    _, target = tiny.domains(offset=3.0)
    found = model(0, batchnorm=True)
    (norm,) = norms(found)
    before = copy.deepcopy(norm.running_mean)
    estimated(found, target, tiny.accelerator())
    seen = found.encoder.backbone.layers[0](target.x)
    assert torch.allclose(norm.running_mean, seen.mean(0), atol=1e-4)
    assert not torch.allclose(norm.running_mean, before, atol=1e-2)
    assert norm.momentum == 0.1
    assert not norm.training
    again = copy.deepcopy(norm.running_var)
    estimated(found, target, tiny.accelerator())
    assert torch.equal(again, norm.running_var)


def test_agreement_counts_rows_with_the_same_answer():
    one = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    other = torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 2.0], [0.0, 2.0]])
    task = Classification(["a", "b"])
    assert alike(task, one, other) == 0.75
    assert mean_agreement(task, [one, other, one]) == pytest.approx((0.75 + 1.0 + 0.75) / 3)
    assert mean_agreement(task, [one]) is None
    assert alike(Regression(["kg"]), one[:, :1], other[:, :1]) is None
