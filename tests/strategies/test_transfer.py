"""Transfer to a labelled target: who learns when, at which rate, and what the regularisers hold on to."""

import subprocess
import sys

import pytest
import torch

import hubtl
from hubtl.engine.modes import parameters_of
from hubtl.errors import HubtlError
from hubtl.losses.discrepancy import smallest_singular_values
from hubtl.strategies.finetune import Finetune
from hubtl.strategies.regularised import BSS, L2SP, Delta
from hubtl.strategies.sequential import Sequential
from hubtl.strategies.staged import LPFT, GradualUnfreeze, PartialFinetune
from tests.tiny import accuracy, build, domains, train


def weights(strategy):
    return {name: p.detach().clone() for name, p in strategy.named_parameters()}


@pytest.mark.parametrize("cls", [PartialFinetune, LPFT, GradualUnfreeze, L2SP, Delta, BSS])
def test_learns_the_target(cls):
    _, target = domains()
    strategy = build(cls, batchnorm=True)
    assert accuracy(strategy, target) < 0.9
    train(strategy, {"target": target}, steps=150)
    assert accuracy(strategy, target) > 0.97


def test_layer_decay_slows_the_lower_blocks():
    (phase,) = build(Finetune, batchnorm=True, layer_decay=0.5).phases()
    assert list(phase.learns) == ["backbone/0", "backbone/1", "head"]
    assert phase.lr == {"backbone/0": 0.25, "backbone/1": 0.5}
    assert list(build(Finetune, batchnorm=True).phases()[0].learns) == ["backbone", "head"]


def test_partial_finetune_leaves_frozen_blocks_as_they_were():
    _, target = domains()
    strategy = build(PartialFinetune, batchnorm=True, frozen=["0"])
    before = weights(strategy)
    train(strategy, {"target": target}, steps=20)
    after = weights(strategy)
    moved = {name.rsplit(".", 1)[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"encoder.backbone.layers.1", "head"}


def test_partial_finetune_names_the_blocks():
    with pytest.raises(HubtlError, match="no block stem") as error:
        build(PartialFinetune, frozen=["stem"]).phases()
    assert error.value.hint == "its blocks: 0"


def test_lp_ft_probes_before_it_tunes():
    probe, finetune = build(LPFT, finetune_lr=0.2).phases()
    assert list(probe.learns) == ["head"]
    assert finetune.lr == {"backbone": 0.2, "head": 0.2}
    assert probe.share + finetune.share == pytest.approx(1)


def test_gradual_unfreeze_goes_down_from_the_output():
    phases = build(GradualUnfreeze, batchnorm=True, stages=2).phases()
    assert [list(phase.learns) for phase in phases] == [
        ["head"],
        ["backbone/1", "head"],
        ["backbone/0", "backbone/1", "head"],
    ]


def test_l2_sp_by_hand():
    strategy = build(L2SP, weight=0.5, head_weight=0.0)
    _, target = domains(8)
    batch = target.fetch(range(8))
    assert strategy.penalty(strategy.encode(batch), batch)[0] == 0
    with torch.no_grad():
        next(strategy.encoder.backbone.parameters())[0, 0] += 2.0
    assert strategy.penalty(strategy.encode(batch), batch)[0].item() == pytest.approx(0.5 * 0.5 * 4.0)


@pytest.mark.parametrize(("cls", "key"), [(L2SP, "distance"), (Delta, "distance"), (BSS, "spectral")])
def test_more_weight_keeps_nearer(cls, key):
    _, target = domains()
    batch = target.fetch(range(32))
    found = []
    for weight in (0.0, 1.0):
        strategy = build(cls, weight=weight, bottleneck=4 if cls is BSS else 0)
        train(strategy, {"target": target}, steps=100)
        with torch.no_grad():
            found.append(strategy.penalty(strategy.encode(batch), batch)[1][key].item())
    assert found[1] < 0.5 * found[0]


def test_delta_keeps_the_pretrained_features():
    _, target = domains()
    strategy = build(Delta)
    before = {name: p.clone() for name, p in strategy.pretrained.state_dict().items()}
    train(strategy, {"target": target}, steps=20)
    assert all(torch.equal(before[name], p) for name, p in strategy.pretrained.state_dict().items())


def test_smallest_singular_values_by_hand():
    features = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
    assert smallest_singular_values(features, 1) == pytest.approx(1.0)
    assert smallest_singular_values(features, 2) == pytest.approx(5.0)


def test_sequential_learns_the_source_then_the_target():
    source, target = domains(degrees=180.0)
    strategy = build(Sequential)
    first, second = strategy.phases()
    assert (first.sees, second.sees) == (("source",), ("target",))
    assert not set(parameters_of(strategy.head)) & {p for g in first.learns.values() for p in parameters_of(g)}
    train(strategy, {"source": source, "target": target}, steps=200)
    assert accuracy(strategy, target) > 0.97


def test_a_validator_of_the_source_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(HubtlError, match="no model of the source's labels"):
        hubtl.adapt(
            model="test_resnet",
            pretrained=False,
            source_dataset="builtin:digits/mnist",
            target_dataset="builtin:digits/uci",
            strategy="sequential",
            validator="dev",
            output_dir=str(tmp_path / "run"),
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "line"), [("partial-finetune", "frozen = []"), ("tent", "options (--tta-set NAME")])
def test_show_says_what_to_type(name, line):
    assert line in subprocess.run([sys.executable, "-m", "hubtl", "show", name], capture_output=True, text=True).stdout
