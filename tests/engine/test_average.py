"""Averaged weights: by hand, judged and shipped in place of the last ones, and the same after an interruption."""

import pytest
import torch
from torch import nn

from hubtl.engine.average import WeightAverage, exponent
from hubtl.engine.stop import Interrupted
from hubtl.strategies.dann import DANN
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Phase
from tests.engine.test_loop import StopAt, same, streams, weights
from tests.tiny import build, domains, hubtl_command, train

WIDTH = 0.1


def averaging(lr=0.05):
    return {"lr": lr, "averaging": WIDTH}


def profile(t, gamma):
    """The weight of each of ``t`` updates, (s^(γ+1) − (s−1)^(γ+1)) / t^(γ+1): the power's, summed over an update."""
    edges = (torch.arange(t + 1, dtype=torch.float64) / t) ** (gamma + 1)
    return edges.diff()


def test_three_updates_by_hand():
    """γ = 1 weighs three updates by 1, 3 and 5 ninths: 3, 5 and 10 become (3 + 15 + 50) / 9."""
    model = nn.Linear(1, 1)
    average = WeightAverage(model, [model.weight], width=(2 / (9 * 4)) ** 0.5)
    assert average.gamma == pytest.approx(1.0)
    for value in (3.0, 5.0, 10.0):
        model.weight.data.fill_(value)
        average.update()
    average.exchange()
    assert model.weight.item() == pytest.approx(68 / 9)
    average.exchange()
    assert model.weight.item() == 10.0


@pytest.mark.parametrize("width", [0.02, 0.05, 0.1, 0.25])
def test_the_profile_has_the_width_that_was_asked_for(width):
    n = 100_000
    density = profile(n, exponent(width))
    t = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    spread = ((density * t**2).sum() - (density * t).sum() ** 2).sqrt()
    assert spread.item() == pytest.approx(width, rel=1e-3)


def test_what_came_before_a_new_beginning_is_forgotten():
    model = nn.Linear(1, 1)
    average = WeightAverage(model, [model.weight], WIDTH)
    model.weight.data.fill_(100.0)
    average.update()
    model.weight.data.fill_(5.0)
    average.begin()
    average.exchange()
    assert model.weight.item() == 5.0, "what is judged before the next update is not what was taken back"
    average.exchange()
    model.weight.data.fill_(2.0)
    average.update()
    average.exchange()
    assert model.weight.item() == 2.0


def test_the_average_is_judged_and_shipped_and_the_last_weights_go_on_learning():
    each, seen = [], {}
    plain, averaged = (build(DANN, bottleneck=8, batchnorm=True, critic_width=16) for _ in range(2))
    train(
        plain,
        streams(),
        steps=12,
        evaluate_every=1,
        optim={"lr": 0.05},
        judge=lambda s, _: each.append(weights(s)) or {},
    )
    train(
        averaged,
        streams(),
        steps=12,
        evaluate_every=4,
        optim=averaging(),
        judge=lambda s, n: seen.update({n: weights(s)}) or {},
    )
    assert sorted(seen) == [4, 8, 12]
    for done, found in seen.items():
        shares = profile(done, exponent(WIDTH))
        for name, value in found.items():
            if value.is_floating_point():  # weights and BatchNorm's statistics
                mean = sum(share * past[name].double() for share, past in zip(shares, each, strict=False))
                assert torch.allclose(mean.float(), value, atol=1e-5), name
    assert same(seen[12], weights(averaged))
    assert not same(weights(plain), weights(averaged))


def test_an_interrupted_run_goes_on_to_the_same_average(tmp_path):
    whole, first, second = (build(DANN, bottleneck=8, batchnorm=True, critic_width=16, seed=s) for s in (0, 0, 99))
    train(whole, streams(), steps=20, optim=averaging(), evaluate_every=3, judge=StopAt(-1))
    with pytest.raises(Interrupted):
        train(first, streams(), steps=20, folder=tmp_path, judge=StopAt(9), evaluate_every=3, optim=averaging())
    train(second, streams(), steps=20, folder=tmp_path, resume=True, optim=averaging())
    assert same(weights(whole), weights(second))


def test_a_phase_averages_its_own_updates_and_the_next_goes_on_from_its_average():
    class Staged(SourceOnly):
        def phases(self):
            still = Phase("still", self.step, ("source",), {"head": self.head}, steps=1, lr={"head": 1e-12})
            return [Phase("moves", self.step, ("source",), self.learners(), steps=6), still]

    seen = {}
    train(build(Staged), streams(), optim=averaging(), judge=lambda s, n: seen.update({n: weights(s)}) or {})
    assert sorted(seen) == [6, 7]
    assert all(torch.allclose(seen[6][name], seen[7][name], atol=1e-6) for name in seen[6])
    alone = build(SourceOnly)
    train(alone, streams(), steps=6, optim=averaging())
    assert all(torch.equal(value, seen[6][name]) for name, value in weights(alone).items())


@pytest.mark.slow
def test_on_noisy_updates_the_average_classifies_better_than_the_last_weights():
    """Batches of four at a high rate, one label in five wrong: the last weights wander."""
    gains = []
    for seed in range(4):
        source, held = domains(512, seed=10 * seed)[0], domains(2000, seed=10 * seed + 5)[0]
        for rows in (source, held):
            chance = torch.rand(len(rows), generator=torch.Generator().manual_seed(seed))
            rows.labels = rows.labels ^ (chance < 0.2).numpy()
        wrong = torch.rand(512, generator=torch.Generator().manual_seed(seed)).numpy() < 0.2
        source.labels = source.labels ^ wrong
        losses = {}
        for width in (0.0, WIDTH):
            model = build(SourceOnly, seed=seed)
            train(model, {"source": source}, steps=400, batch_size=4, optim={"lr": 0.02, "averaging": width})
            with torch.no_grad():
                logits = model.deployed()({"image": held.x})
            losses[width] = nn.functional.cross_entropy(logits, torch.from_numpy(held.labels)).item()
        gains.append(losses[0.0] - losses[WIDTH])
    assert all(gain > 0 for gain in gains), gains


def test_the_plan_says_that_weights_are_averaged(capsys):
    given = ["--model", "lenet", "--no-pretrained", "--source-dataset", "builtin:digits/mnist"]
    given += ["--target-dataset", "builtin:digits/uci", "--dry-run"]
    for extra, said in (([], False), (["--set", "optim.averaging=0.1"], True)):
        code, out, err = hubtl_command(["adapt", *given, *extra], capsys)
        assert code == 0
        assert ("weights averaged with width 0.1" in out + err) is said
