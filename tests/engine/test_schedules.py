"""Learning rates as functions of the step, and rates of groups. An optimiser has one for each."""

import pytest
import torch
from torch import nn

from hubtl.engine.optimise import lr_factor, make_optimizer, set_lr
from hubtl.errors import HubtlError
from hubtl.recipe.schema import OptimSection


def factors(total=100, **keys):
    optim = OptimSection(**keys)
    return [lr_factor(step, total, optim) for step in range(total)]


def test_cosine_falls_from_one_to_nearly_nought_through_a_half():
    curve = factors(schedule="cosine")
    assert curve[0] == 1
    assert curve[50] == pytest.approx(0.5)
    assert 0 < curve[99] < 1e-3
    assert curve == sorted(curve, reverse=True)


def test_inverse_decay_follows_its_formula():
    curve = factors(2001, schedule="inverse-decay", gamma=1e-3, power=0.75)
    assert curve[0] == 1
    assert curve[1000] == pytest.approx(2**-0.75)
    assert curve[2000] == pytest.approx(3**-0.75)


def test_step_drops_by_its_factor_at_each_multiple():
    curve = factors(schedule="step", step_every=40, step_factor=0.1)
    assert curve[39] == 1
    assert curve[40] == pytest.approx(0.1)
    assert curve[80] == pytest.approx(0.01)


@pytest.mark.parametrize("schedule", ["constant", None])
def test_constant_is_constant(schedule):
    assert set(factors(schedule=schedule)) == {1.0}


@pytest.mark.parametrize("schedule", ["constant", "cosine", "inverse-decay", "step"])
def test_warm_up_rises_evenly_to_the_whole_rate_and_the_schedule_starts_after_it(schedule):
    curve = factors(schedule=schedule, warmup_steps=9)
    assert curve[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert max(curve) == 1


def test_cosine_ends_at_nought_with_a_warm_up_too():
    assert factors(schedule="cosine", warmup_steps=50)[99] < 1e-2


def test_a_run_of_one_step_and_a_warm_up_longer_than_the_run_have_a_rate():
    assert factors(1, schedule="cosine") == [1.0]
    assert all(0 < factor < 1 for factor in factors(5, schedule="cosine", warmup_steps=20))


def groups():
    return {"backbone": [nn.Parameter(torch.ones(2))], "head": [nn.Parameter(torch.ones(2))], "critic": []}


def settings(**keys):
    return OptimSection(**{"lr": 0.1, "backbone_lr_scale": 0.5, "weight_decay": 0.0, **keys})


def test_each_group_keeps_its_own_rate_under_a_schedule():
    optimizer = make_optimizer(groups(), settings())
    assert {g["name"]: g["lr"] for g in optimizer.param_groups} == {"backbone": 0.05, "head": 0.1}
    set_lr(optimizer, 0.1)
    set_lr(optimizer, 0.2)
    assert {g["name"]: g["lr"] for g in optimizer.param_groups} == pytest.approx({"backbone": 0.01, "head": 0.02})


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "adagrad"])
def test_named_optimisers_go_downhill(name):
    parameters = groups()
    optimizer = make_optimizer(parameters, settings(name=name))
    for _ in range(20):
        loss = sum(p.square().sum() for ps in parameters.values() for p in ps)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert all(p.detach().abs().max() < 1 for ps in parameters.values() for p in ps)


def test_sgd_without_momentum_takes_plain_steps():
    parameters = groups()
    optimizer = make_optimizer(parameters, settings(momentum=0.0))
    for _ in range(2):
        for p in (p for ps in parameters.values() for p in ps):
            p.grad = torch.ones(2)
        optimizer.step()
    assert parameters["head"][0].tolist() == pytest.approx([0.8, 0.8])


def test_an_unknown_optimiser_hints_at_the_nearest():
    with pytest.raises(HubtlError, match="unknown optimiser 'adamm'") as caught:
        make_optimizer(groups(), settings(name="adamm"))
    assert caught.value.hint.startswith("adam")


def test_a_phase_in_which_nothing_learns_is_refused():
    with pytest.raises(HubtlError, match="nothing learns"):
        make_optimizer({"head": []}, settings())


def test_a_group_may_have_a_momentum_of_its_own():
    slow, fast = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    optim = OptimSection(lr=1.0, backbone_lr_scale=1.0, weight_decay=0.0)
    groups = {"backbone": [slow.weight], "head": [fast.weight]}
    optimizer = make_optimizer(groups, optim, momenta={"backbone": 0.0})
    assert [(g["name"], g["momentum"], g["nesterov"]) for g in optimizer.param_groups] == [
        ("backbone", 0.0, False),
        ("head", 0.9, True),
    ]
    start = slow.weight.detach().clone()
    for _ in range(3):
        slow.weight.grad = torch.ones_like(slow.weight)
        optimizer.step()
    assert torch.allclose(slow.weight, start - 3)  # three times the gradient, and nothing remembered
    adam = make_optimizer(groups, OptimSection(name="adam", lr=1.0, backbone_lr_scale=1.0), momenta={"backbone": 0.0})
    assert "momentum" not in adam.param_groups[0]
