"""Test-time methods recover from a shift and come back. They change only what they say."""

import math

import pytest
import torch
from torch import nn

from hubtl.errors import HubtlError
from hubtl.losses.online import certainty_diversity, smoothed_prior, soft_likelihood_ratio, teacher_cross_entropy
from hubtl.testtime import make, online
from hubtl.testtime.bn import BN
from hubtl.testtime.cotta import CoTTA
from hubtl.testtime.eata import EATA
from hubtl.testtime.roid import ROID
from hubtl.testtime.sar import SAR
from hubtl.testtime.tent import Tent

ALL = [BN, Tent, EATA, SAR, CoTTA, ROID]


def rows(n, seed):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (n,), generator=generator)
    return 2.0 * torch.eye(8)[y] + 0.6 * torch.randn(n, 8, generator=generator), y


def shifted(x):
    return 3.0 * x + torch.linspace(-6, 6, 8)


@pytest.fixture(scope="module")
def model():
    return trained(nn.BatchNorm1d(32))


def trained(norm):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 32), norm, nn.ReLU(), nn.Linear(32, 4))
    x, y = rows(1024, 0)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    return net.eval()


def stream(n=1024, size=64, seed=1):
    x, y = rows(n, seed)
    return shifted(x).split(size), y.split(size)


def frozen(model, batches, labels):
    with torch.no_grad():
        return float((model(torch.cat(batches)).argmax(1) == torch.cat(labels)).float().mean())


@pytest.mark.parametrize("method", ALL)
def test_beats_the_frozen_model_under_a_shift(model, method):
    batches, labels = stream()
    result = online(model, method, batches, labels)
    assert result.online_accuracy > frozen(model, batches, labels) + 0.1


@pytest.mark.parametrize("method", [Tent, EATA, SAR, ROID])
def test_only_norms_change_and_reset_restores(model, method):
    own = {EATA: {"entropy_margin": 1.0}, SAR: {"entropy_margin": 1.0, "recover_below": 0.0}}
    adapting = make(method, model, {"guard": 0.0, **own.get(method, {})})
    before = {k: v.clone() for k, v in adapting.model.state_dict().items()}
    for x in stream(256)[0]:
        adapting.predict(x)
    changed = {k for k, v in adapting.model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"1.weight", "1.bias"}
    adapting.reset()
    assert all(torch.equal(v, before[k]) for k, v in adapting.model.state_dict().items())


def test_a_batch_is_scored_before_the_update(model):
    x = stream()[0][0]
    first = make(Tent, model, {"lr": 0.5}).predict(x)
    assert torch.equal(first, make(BN, model).predict(x)) or torch.allclose(
        first, make(BN, model).predict(x), atol=1e-4
    )


def test_tent_collapses_on_a_correlated_stream_only_without_its_guard():
    model = trained(nn.LayerNorm(32))
    x, y = rows(2048, 3)
    order = y.argsort()
    batches = (x + 1.5)[order].split(32)
    held, truth = rows(512, 4)

    def after(guard):
        adapting = make(Tent, model, {"lr": 0.1, "guard": guard})
        for batch in batches:
            adapting.predict(batch)
        with torch.no_grad():
            return float((adapting.model(held + 1.5).argmax(1) == truth).float().mean()), adapting.stats

    (loose, _), (guarded, stats) = after(0.0), after(0.4)
    assert loose < 0.5
    assert guarded > loose + 0.2
    assert stats.collapses > 0


def test_refusals(model):
    with pytest.raises(HubtlError, match="this model has none"):
        make(Tent, nn.Linear(3, 2))
    with pytest.raises(HubtlError, match="this model has none"):
        make(BN, nn.Linear(3, 2))
    with pytest.raises(HubtlError, match="one row"):
        make(Tent, model).predict(torch.zeros(1, 8))
    with pytest.raises(HubtlError, match="speed"):
        make(Tent, model, {"speed": 1})


def test_losses_by_hand():
    """p = (0.8, 0.2): −(0.8 ln 4 + 0.2 ln 0.25) = −0.6 ln 4 = −0.8318."""
    two = torch.tensor([[math.log(4.0), 0.0]])
    assert soft_likelihood_ratio(two).item() == pytest.approx(-0.8318, abs=1e-4)
    # −(0.5 ln 0.8 + 0.5 ln 0.2) = 0.9163
    assert teacher_cross_entropy(two, torch.zeros(1, 2)).item() == pytest.approx(0.9163, abs=1e-4)
    # prior (0.8, 0.2), smooth = 1 / 0.8 = 1.25: (2.05, 1.45) / 3.5
    assert smoothed_prior(two).tolist() == pytest.approx([0.5857, 0.4143], abs=1e-4)
    # the row unlike the usual (0.9, 0.1) has d = 1, and the same entropy as the other: s = 0, weights 1
    weights, kept = certainty_diversity(torch.cat([two, two.flip(1)]), torch.tensor([0.9, 0.1]), 1 / 3)
    assert kept.tolist() == [False, True]
    assert weights.tolist() == pytest.approx([1.0, 1.0])
