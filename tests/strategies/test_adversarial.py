"""ADDA, MCD, MDD and DeepJDOT: the target gets better, and each plays its own game."""

import math

import pytest
import torch

from hubtl.strategies.adda import ADDA
from hubtl.strategies.deepjdot import DeepJDOT
from hubtl.strategies.mcd import MCD
from hubtl.strategies.mdd import MDD
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Progress
from tests.tiny import accuracy, build, domains, sealed, train


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (ADDA, {"adapt_lr": 1.0, "ramp_steps": 20.0}),
        (MCD, {"classifier_width": 32}),
        (MDD, {"ramp_steps": 20.0, "adversary_width": 32, "reversal": 0.5}),
        (DeepJDOT, {}),
    ],
)
@pytest.mark.slow
def test_better_than_source_only(cls, options):
    source, target = domains(degrees=60.0, seed=10)
    streams = {"source": source, "target": sealed(target)}
    plain, strategy = build(SourceOnly, bottleneck=16), build(cls, bottleneck=16, **options)
    train(plain, streams, steps=300)
    train(strategy, streams, steps=300)
    assert accuracy(strategy, target) > accuracy(plain, target) + 0.02


def test_adda_keeps_the_source_encoder_and_the_head():
    source, target = domains(degrees=50.0)
    strategy = build(ADDA, bottleneck=16, adapt_lr=1.0)
    train(strategy, {"source": source, "target": sealed(target)}, steps=100)
    pairs = zip(strategy.encoder.parameters(), strategy.source_encoder.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)
    strategy.encoder = strategy.source_encoder
    assert accuracy(strategy, source) > 0.95


def test_mcd_players_pull_in_opposite_directions():
    strategy = build(MCD, bottleneck=16)
    source, target = domains(64)
    at = Progress(0, 0, 0, 0.0)
    step = strategy.step(source.fetch(range(32)), sealed(target).fetch(range(32)), at=at)
    losses = list(step)
    assert [loss.by for loss in losses] == [None, ("first", "second"), *[("backbone", "bottleneck")] * 4]
    assert strategy.phases()[0].momentum == {"backbone": 0.0, "bottleneck": 0.0}


def test_mcds_losses_by_hand():
    """Classifiers that say (3/4, 1/4) and (1/2, 1/2) of every row. The head says (1/2, 1/2)."""
    strategy = build(MCD, weight=2.0, balance=1.0).eval()
    with torch.no_grad():
        for network, odds in ((strategy.first[-1], 3.0), (strategy.second[-1], 1.0), (strategy.head, 1.0)):
            network.weight.zero_()
            network.bias.copy_(torch.tensor([math.log(odds), 0.0]))
    source, target = domains(64)
    losses = list(strategy.step(source.fetch([0, 1]), sealed(target).fetch(range(8)), at=Progress(0, 0, 0, 0.0)))
    log = math.log
    classify = (log(4 / 3) + log(4)) / 2 + log(2)  # one row of each class
    uneven = (log(4 / 3) + log(4)) / 2 + log(2)
    assert losses[0].total.item() == pytest.approx(classify + uneven + 2 * log(2), rel=1e-5)  # head: task, and copy
    assert losses[1].total.item() == pytest.approx(classify + uneven - 2 * 0.25, rel=1e-5)
    assert losses[2].total.item() == pytest.approx(2 * 0.25, rel=1e-5)


@pytest.mark.slow
def test_mcd_deploys_a_linear_classifier_that_says_what_the_players_say():
    source, target = domains(degrees=60.0)
    strategy = build(MCD, classifier_width=32)
    train(strategy, {"source": source, "target": sealed(target)}, steps=300)
    with torch.no_grad():
        z = strategy.eval().encoder({"image": target.x}).pooled
        deployed, first, second = (net(z).argmax(dim=1) for net in (strategy.head, strategy.first, strategy.second))
    assert isinstance(strategy.deployed().head, torch.nn.Linear)
    assert (first == second).float().mean() > 0.95
    assert (deployed == first).float().mean() > 0.95


def test_mdd_reverses_the_gradient_of_the_features_alone():
    strategy = build(MDD, bottleneck=16, reversal=1.0, ramp_steps=1.0)
    source, target = domains(64)
    late = Progress(0, 0, 100, 0.5)
    strategy.eval()

    def gradients(reversal):
        strategy.options = strategy.options.model_copy(update={"reversal": reversal})
        strategy.zero_grad()
        pair = strategy.pair(source.fetch(range(32)), sealed(target).fetch(range(32)))
        strategy.added(pair, at=late)[0].backward()
        own = [p.grad.clone() for p in strategy.adversary.parameters()]
        return own, next(strategy.encoder.parameters()).grad.clone()

    (adversary, features), (again, opposite) = gradients(1.0), gradients(-1.0)
    assert features.abs().sum() > 0
    assert torch.allclose(features, -opposite)
    assert all(torch.equal(a, b) for a, b in zip(adversary, again, strict=True))


def test_addas_frozen_encoder_has_the_dropout_that_the_other_has_and_statistics_that_stay():
    strategy = build(ADDA, bottleneck=16)
    strategy.source_encoder.backbone.layers.append(torch.nn.Dropout(0.5))
    strategy.source_encoder.eval()  # as the engine leaves what does not learn
    norm = strategy.source_encoder.bottleneck[1]
    before = norm.running_mean.clone()
    source, target = domains(64)
    seen = []
    strategy.source_encoder.backbone.register_forward_hook(lambda module, given, made: seen.append(made.pooled))
    list(strategy.step(source.fetch(range(32)), sealed(target).fetch(range(32)), at=Progress(0, 0, 0, 0.0)))
    plain = strategy.source_encoder.backbone.layers[:-1](source.x[:32])
    dropped = (seen[0] == 0) & (plain > 0)
    assert 0.3 < dropped.sum() / (plain > 0).sum() < 0.7
    assert torch.equal(norm.running_mean, before)
