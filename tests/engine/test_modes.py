"""Frozen is frozen: parameters, BatchNorm statistics and dropout."""

import torch
from torch import nn

from hubtl.engine.modes import freeze_all_but, learning_groups, set_modes


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)),  # "below"
        nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)),  # "above"
    )


X = torch.randn(64, 4, generator=torch.Generator().manual_seed(1)) + 3


def with_learning_above():
    net = network()
    learning = set(net[1].parameters())
    freeze_all_but(net, learning)
    set_modes(net, learning)
    return net


def test_a_frozen_batchnorm_keeps_its_statistics_and_a_learning_one_does_not():
    net = with_learning_above()
    below, above = net[0][1].running_mean.clone(), net[1][1].running_mean.clone()
    net(X)
    assert torch.equal(net[0][1].running_mean, below)
    assert net[0][1].num_batches_tracked == 0
    assert not torch.equal(net[1][1].running_mean, above)


def test_dropout_is_off_in_frozen_parts_and_on_in_learning_ones():
    net = with_learning_above()
    assert torch.equal(net[0](X), net[0](X))
    assert not torch.equal(net[1](X), net[1](X))


def test_frozen_parameters_get_no_gradient():
    net = with_learning_above()
    net(X).sum().backward()
    assert all(p.grad is None for p in net[0].parameters())
    assert all(p.grad is not None for p in net[1].parameters())


def test_a_batchnorm_whose_layer_alone_learns_still_keeps_its_statistics():
    net = network()
    learning = set(net[0][0].parameters())
    set_modes(net, learning)
    assert net[0][0].training
    assert not net[0][1].training
    assert net[0][2].training, "a module without parameters follows the one around it"


def test_a_phase_that_unfreezes_brings_everything_back():
    net = with_learning_above()
    everything = set(net.parameters())
    freeze_all_but(net, everything)
    set_modes(net, everything)
    assert all(module.training for module in net.modules())
    assert all(p.requires_grad for p in net.parameters())


def test_groups_hold_only_what_the_tuner_left_trainable():
    net = network()
    tunable = set(net[1].parameters())
    groups = learning_groups({"below": net[0], "above": net[1], "bias": [net[1][0].bias]}, tunable)
    assert groups["below"] == []
    assert len(groups["above"]) == 4
    assert groups["bias"] == [], "a shared parameter belongs to the first group that names it"
