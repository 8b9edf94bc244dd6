"""Every built-in strategy stands the conformance suite, and broken ones do not."""

import pytest
import torch
from torch import nn

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.strategies.mcc import MCC
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Loss
from hubtl.testing import check

BUILT_IN = [name for name, entry in plugins.entries("strategies").items() if entry.builtin]


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in(name):
    check(plugins.load("strategies", name))


class OneLogitSoftmax(SourceOnly):
    """A critic whose softmax over one logit is constant."""

    def __init__(self, *args):
        super().__init__(*args)
        self.critic = nn.Linear(self.encoder.width, 1)

    def step(self, source, *, at):
        z = self.encode(source).pooled
        yield Loss(self.task.loss(self.head(z), source.labels) + self.critic(z).softmax(dim=1).mean())


class YieldsWithoutGrad(SourceOnly):
    """Yields where gradients are off."""

    def step(self, source, *, at):
        with torch.no_grad():
            yield from super().step(source, at=at)


class FrozenGroup(SourceOnly):
    """Names a network that its loss does not use."""

    def __init__(self, *args):
        super().__init__(*args)
        self.unused = nn.Linear(3, 3)


class Peeks(MCC):
    """Learns from target labels."""

    def step(self, source, target, *, at):
        yield Loss(self.task.loss(self.head(self.encode(target).pooled), target.labels))


class Counts(SourceOnly):
    """Keeps a schedule in a plain attribute."""

    count = 0

    def step(self, source, *, at):
        self.count += 1
        for loss in super().step(source, at=at):
            yield Loss(loss.total * self.count)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (OneLogitSoftmax, "no gradient reaches group 'critic'"),
        (YieldsWithoutGrad, "inside torch.no_grad"),
        (FrozenGroup, "no gradient reaches group 'unused'"),
        (Peeks, "sealed"),
    ],
)
def test_broken_is_refused(broken, reason):
    with pytest.raises(HubtlError, match=reason):
        check(broken)


def test_a_counter_that_resuming_loses_is_refused():
    with pytest.raises(AssertionError, match="after resuming"):
        check(Counts)
