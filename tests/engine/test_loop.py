"""The loop: accumulation, freezing, resuming, stopping, and refusing what cannot be right."""

import pytest
import torch

from hubtl.engine.stop import Interrupted
from hubtl.errors import HubtlError
from hubtl.strategies.dann import DANN
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Loss, Phase
from tests.tiny import build, domains, sealed, train


def streams(n=256):
    source, target = domains(n)
    return {"source": source, "target": sealed(target)}


def weights(strategy):
    return {k: v.clone() for k, v in strategy.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def test_accumulation_equals_the_big_batch():
    big = build(DANN, critic_width=16, critic_batchnorm=False)
    small = build(DANN, critic_width=16, critic_batchnorm=False)
    train(big, streams(), steps=20, batch_size=32)
    train(small, streams(), steps=20, batch_size=16, gradient_accumulation_steps=2)
    gap = max((a - b).abs().max() for a, b in zip(big.parameters(), small.parameters(), strict=True))
    moved = max(
        (a - b).abs().max()
        for a, b in zip(
            big.parameters(), build(DANN, critic_width=16, critic_batchnorm=False).parameters(), strict=True
        )
    )
    assert gap < 1e-5
    assert moved > 1e-2


class StopAt:
    """A judge that asks the run to stop after some updates. Ctrl-C does so, too."""

    def __init__(self, step):
        self.step = step

    def __call__(self, strategy, step):
        if step == self.step:
            import signal

            signal.raise_signal(signal.SIGINT)
        return {}


@pytest.mark.parametrize("stop_at", [7, 30])
def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path, stop_at):
    whole = build(DANN, bottleneck=8, batchnorm=True, critic_width=16)
    train(whole, streams(), steps=40)
    first = build(DANN, bottleneck=8, batchnorm=True, critic_width=16)
    with pytest.raises(Interrupted):
        train(first, streams(), steps=40, folder=tmp_path, judge=StopAt(stop_at), evaluate_every=1)
    second = build(DANN, bottleneck=8, batchnorm=True, critic_width=16, seed=99)
    torch.manual_seed(12345)
    trace = train(second, streams(), steps=40, folder=tmp_path, resume=True)
    assert trace.steps == 40
    assert trace.resumed == 1
    assert same(weights(whole), weights(second))


def test_resuming_a_finished_training_changes_nothing(tmp_path):
    strategy = build(SourceOnly)
    train(strategy, streams(), steps=10, folder=tmp_path)
    again = build(SourceOnly, seed=5)
    trace = train(again, streams(), steps=10, folder=tmp_path, resume=True)
    assert trace.steps == 10
    assert same(weights(strategy), weights(again))


def test_two_phases_run_in_order_and_only_their_groups_learn(tmp_path):
    class Staged(SourceOnly):
        def phases(self):
            return [
                Phase("head", self.step, ("source",), {"head": self.head}, share=0.5),
                Phase("all", self.step, ("source",), self.learners(), share=0.5),
            ]

    seen = {}

    def judge(strategy, step):
        seen[step] = weights(strategy)
        return {}

    strategy = build(Staged, batchnorm=True)
    start = weights(strategy)
    train(strategy, streams(), steps=10, judge=judge)
    assert sorted(seen) == [5, 10]
    encoder = [k for k in start if k.startswith("encoder")]
    assert all(torch.equal(start[k], seen[5][k]) for k in encoder), "a frozen encoder changed, or its BatchNorm did"
    assert any(not torch.equal(start[k], seen[10][k]) for k in encoder)
    assert all(p.requires_grad for p in strategy.parameters())


def test_a_loss_that_is_not_finite_stops_with_what_was_seen():
    class Diverging(SourceOnly):
        def step(self, source, *, at):
            task = self.task.loss(self.head(self.encode(source).pooled), source.labels)
            yield Loss(task * (float("inf") if at.step == 3 else 1.0), logs={"task": task})

    with pytest.raises(HubtlError, match=r"not finite at update 4 .*loss inf.*task 0\.") as caught:
        train(build(Diverging), streams(), steps=10)
    assert "--lr" in (caught.value.hint or "")


def test_clipping_bounds_the_update():
    strategy = build(SourceOnly)
    start = weights(strategy)
    train(strategy, streams(), steps=1, optim={"lr": 1.0, "clip_norm": 1e-3, "momentum": 0.0})
    moved = torch.cat([(start[k] - v).flatten() for k, v in weights(strategy).items()]).norm()
    assert 0 < moved <= 1.01e-3


def test_bf16_autocast_reaches_similar_weights():
    exact, mixed = build(SourceOnly), build(SourceOnly)
    train(exact, streams(), steps=20)
    from hubtl.engine.device import make_accelerator
    from hubtl.engine.loop import Engine
    from hubtl.recipe.schema import OptimSection, RunSection

    run = RunSection(steps=20, batch_size=32, device="cpu", mixed_precision="bf16")
    optim = OptimSection(lr=0.02, backbone_lr_scale=1.0, schedule="constant", weight_decay=0.0)
    Engine(make_accelerator(run, None), optim, run).train(mixed, streams())
    gap = max((a - b).abs().max() for a, b in zip(exact.parameters(), mixed.parameters(), strict=True))
    assert 0 < gap < 0.02


def test_a_phase_that_needs_a_missing_stream_says_which():
    source, _ = domains(64)
    with pytest.raises(HubtlError, match="needs a target stream"):
        train(build(DANN), {"source": source}, steps=1)


def test_batches_do_not_depend_on_the_number_of_processes():
    from hubtl.data.streams import StepBatches

    source, _ = domains(100)
    one = StepBatches({"source": source}, batch_size=16, seed=3)
    two = [StepBatches({"source": source}, batch_size=8, seed=3, rank=r, world=2) for r in range(2)]
    for i in range(20):
        whole = one[i]["source"].index
        halves = torch.cat([part[i]["source"].index for part in two])
        assert torch.equal(whole, halves)


def test_every_row_is_seen_once_in_each_pass():
    from hubtl.data.streams import Shuffle

    order = Shuffle(10, 0, "source")
    rows = order.rows(0, 30)
    assert [sorted(rows[i : i + 10]) for i in (0, 10, 20)] == [list(range(10))] * 3
    assert rows[:10] != rows[10:20]
    assert order.rows(7, 23) == rows[7:23]


def refreshed(per_epoch, steps, refreshes=None):
    """The steps at which a phase is refreshed. Epochs have so many steps."""
    met = []

    class Refreshing(SourceOnly):
        def phases(self):
            note = lambda sweep, at: met.append((at.step, at.epoch))  # noqa: E731
            return [
                Phase("one", self.step, ("source",), self.learners(), refresh=note, refreshes=refreshes),
            ]

    source, _ = domains(32 * per_epoch)
    train(build(Refreshing), {"source": source}, steps=steps)
    return met


def test_a_phase_is_refreshed_at_every_epoch():
    assert refreshed(4, 10) == [(0, 0), (4, 1), (8, 2)]
    assert refreshed(4, 12, refreshes=3) == [(0, 0), (4, 1), (8, 2)]
    assert refreshed(4, 12, refreshes=1) == [(0, 0), (4, 1), (8, 2)]


def test_a_phase_with_too_few_epochs_is_refreshed_evenly_as_often_as_it_asks():
    assert refreshed(8, 10, refreshes=5) == [(0, 0), (2, 0), (4, 0), (6, 0), (8, 1)]
    assert refreshed(8, 7, refreshes=3) == [(0, 0), (3, 0), (5, 0)]
    assert refreshed(8, 3, refreshes=9) == [(0, 0), (1, 0), (2, 0)]
