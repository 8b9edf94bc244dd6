"""Methods that adapt without the source: they learn, the head stays, the source is never opened, memories survive."""

import dataclasses

import pytest
import torch

from hubtl.strategies.aad import AAD
from hubtl.strategies.shot import SHOT, SHOTIM
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Progress, Swept
from tests.tiny import Rows, accuracy, build, domains, sealed, train

METHODS = [SHOT, SHOTIM, AAD]


class Forbidden(Rows):
    def fetch(self, rows, *, seed=None):
        raise AssertionError("the source was opened")


def trained_on_source(bottleneck, source):
    plain = build(SourceOnly, bottleneck=bottleneck)
    train(plain, {"source": source}, steps=150)
    return plain


def handed_over(cls, plain, bottleneck):
    strategy = build(cls, bottleneck=bottleneck)
    strategy.encoder.load_state_dict(plain.encoder.state_dict())
    strategy.head.load_state_dict(plain.head.state_dict())
    strategy.setting = "source-free"
    return strategy


@pytest.mark.parametrize("bottleneck", [0, 16])
@pytest.mark.parametrize("cls", METHODS)
def test_without_the_source_the_target_gets_better(cls, bottleneck):
    source, target = domains(degrees=50.0)
    plain = trained_on_source(bottleneck, source)
    strategy = handed_over(cls, plain, bottleneck)
    before = {name: p.clone() for name, p in strategy.head.named_parameters()}
    train(strategy, {"source": Forbidden(source.x, None), "target": sealed(target)}, steps=150)
    assert accuracy(strategy, target) > accuracy(plain, target) + 0.02
    if cls is not AAD:
        assert all(torch.equal(before[name], p) for name, p in strategy.head.named_parameters())
        assert all(p.grad is None for p in strategy.head.parameters())


@pytest.mark.parametrize("cls", METHODS)
def test_with_a_source_it_is_learnt_first(cls):
    source, target = domains(degrees=50.0)
    streams = {"source": source, "target": sealed(target)}
    plain, strategy = build(SourceOnly, bottleneck=16), build(cls, bottleneck=16)
    first, second = strategy.phases()
    assert (tuple(first.sees), tuple(second.sees)) == (("source",), ("target",))
    train(plain, streams, steps=300)
    train(strategy, streams, steps=300)
    assert accuracy(strategy, target) > accuracy(plain, target) + 0.02


def test_shot_does_not_teach_its_head_on_the_target():
    assert set(build(SHOT, bottleneck=16).phases()[1].learns) == {"backbone", "bottleneck"}
    assert set(build(SHOT).phases()[1].learns) == {"backbone"}
    assert "head" in build(SHOT).phases()[0].learns


def test_shot_im_never_sweeps():
    assert build(SHOTIM).phases()[1].refresh is None
    assert build(SHOT).phases()[1].refresh is not None


def test_shots_pseudo_labels_belong_to_rows_not_places():
    strategy = build(SHOT)
    features = torch.tensor([[5.0, 0.0], [0.0, 5.0], [5.0, 0.1]])
    strategy.relabel(lambda stream: Swept(features, features, None), Progress(0, 0, 0, 0.0))
    assert strategy.pseudo.tolist() == [0, 1, 0]
    _, target = domains(32)
    batch = sealed(target).fetch([2, 1])
    (loss,) = strategy.step(batch, at=Progress(0, 0, 0, 0.0))
    logits = strategy.head(strategy.encode(batch).pooled)
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
    assert torch.allclose(loss.logs["pseudo"], expected)


@pytest.mark.parametrize("cls", [SHOT, AAD])
def test_memories_survive_a_checkpoint(cls):
    _, target = domains(96)
    strategy = build(cls)
    strategy.setting = "source-free"
    train(strategy, {"target": sealed(target)}, steps=4)
    fresh = build(cls)
    fresh.load_state_dict(strategy.state_dict())
    for name in cls.memories:
        assert len(getattr(fresh, name)) == 96
        assert torch.equal(getattr(fresh, name), getattr(strategy, name))


def test_aad_remembers_what_the_step_saw():
    _, target = domains(64)
    strategy = build(AAD)
    strategy.features, strategy.scores = torch.zeros(64, 32), torch.zeros(64, 2)
    list(strategy.step(sealed(target).fetch([3, 7, 9]), at=Progress(0, 0, 0, 0.0)))
    assert strategy.scores.sum(dim=1).nonzero().flatten().tolist() == [3, 7, 9]
    assert torch.allclose(strategy.features[[3, 7, 9]].norm(dim=1), torch.ones(3))


def test_aads_dispersion_counts_one_row_of_a_class_and_fades_if_asked_to():
    start, later = Progress(0, 0, 0, 0.0), Progress(0, 0, 0, 0.1)
    strategy = build(AAD)  # two classes
    assert strategy.strength(start, 64) == strategy.strength(later, 64) == pytest.approx(2 / 64)
    assert strategy.strength(start, 1) == 1
    faded = build(AAD, decay=2.0, dispersion=1.0)
    assert faded.strength(start, 64) == 1
    assert faded.strength(later, 64) == pytest.approx(1 / 4)  # (1 + 1) ** −2


def test_the_source_is_learnt_under_weak_views():
    source, _ = domains(64)
    strategy = build(SHOT)
    batch = source.fetch(range(32))
    viewed = dataclasses.replace(batch, views={"weak": {"image": batch.inputs["image"] + 1.0}})
    moved = dataclasses.replace(batch, inputs={"image": batch.inputs["image"] + 1.0})
    (loss,), (expected,) = (list(strategy.source_step(b, at=Progress(0, 0, 0, 0.0))) for b in (viewed, moved))
    assert [phase.views for phase in strategy.phases()] == [{"source": ("weak",)}, {"target": ()}]
    assert torch.equal(loss.total, expected.total)
