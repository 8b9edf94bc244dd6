"""Every built-in strategy stands the conformance suite, and broken ones do not."""

import gc

import pytest
import torch
from torch import nn

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.losses import domain_accuracy, domain_loss
from hubtl.modules import Critic, reverse_gradient
from hubtl.strategies.aad import AAD
from hubtl.strategies.dann import DANN
from hubtl.strategies.mcc import MCC
from hubtl.strategies.shot import SHOT
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Loss, Phase
from hubtl.testing import ToyRows, check, toy_domain
from hubtl.testing.ranks import ROWS, compare, gap, state, states
from hubtl.testing.toy import ToyWorld

pytestmark = pytest.mark.slow

BUILT_IN = [name for name, entry in plugins.entries("strategies").items() if entry.builtin]


@pytest.fixture(autouse=True, scope="module")
def _quick_collections():
    """The engine collects garbage after each phase; what pytest holds is not worth looking through each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


ONE_CELL = pytest.mark.xfail(
    strict=True, reason="its critic reads maps; those of the suite's one place and two classes hardly differ by domain"
)


@pytest.mark.parametrize("name", [pytest.param(n, marks=ONE_CELL) if n == "advent" else n for n in BUILT_IN])
def test_built_in(name):
    check(plugins.load("strategies", name))


@pytest.mark.parametrize("name", ["shot", "aad", "adabn"])
def test_built_in_without_a_source(name):
    check(plugins.load("strategies", name), setting="source-free")


def test_a_sum_of_methods():
    check(plugins.load("strategies", "cdan+mcc"))


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


class ForNobody(SourceOnly):
    """Has a second loss for the head without the head."""

    def step(self, source, *, at):
        yield from super().step(source, at=at)
        features = self.encode(source).pooled
        yield Loss(features.square().mean(), by=("head",))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (OneLogitSoftmax, "no gradient reaches group 'critic'"),
        (YieldsWithoutGrad, "inside torch.no_grad"),
        (FrozenGroup, "no gradient reaches group 'unused'"),
        (Peeks, "sealed"),
        (ForNobody, "loss 2 of phase 'source' is for group 'head', and gives it no gradient"),
    ],
)
def test_broken_is_refused(broken, reason):
    with pytest.raises(HubtlError, match=reason):
        check(broken)


class Counts(SourceOnly):
    """Keeps a schedule in a plain attribute."""

    count = 0

    def step(self, source, *, at):
        self.count += 1
        for loss in super().step(source, at=at):
            yield Loss(loss.total * self.count)


class Meddles(SourceOnly):
    """Turns on the gradient of the encoder in the head's phase."""

    def phases(self):
        return [Phase("source", self.step, ("source",), {"head": self.head})]

    def step(self, source, *, at):
        self.encoder.requires_grad_(True)
        yield from super().step(source, at=at)


class Writes(SourceOnly):
    """Shrinks the encoder, which its phase does not name, by hand."""

    def phases(self):
        return [Phase("source", self.step, ("source",), {"head": self.head})]

    def step(self, source, *, at):
        yield from super().step(source, at=at)
        with torch.no_grad():
            for p in self.encoder.parameters():
                p.mul_(0.99)


class OwnOptimiser(SourceOnly):
    """Takes a step of its own."""

    def step(self, source, *, at):
        yield from super().step(source, at=at)
        loss = self.task.loss(self.head(self.encode(source).pooled), source.labels)
        optimizer = torch.optim.SGD(self.head.parameters(), lr=0.1)
        loss.backward()
        optimizer.step()


class Climbs(SourceOnly):
    """Goes uphill."""

    def step(self, source, *, at):
        for loss in super().step(source, at=at):
            yield Loss(-0.05 * loss.total, logs=loss.logs)


class Spies(SHOT):
    """Reaches around the seal for the data set's labels."""

    settings = ("source-free",)

    def relabel(self, sweep, at):
        self.remember("pseudo", torch.from_numpy(sweep.__self__.streams["target"].hidden))


class NeverReversed(DANN):
    """The factor of the reversal is nought for ever."""

    def strength(self, at):
        return 0.0


class Helps(DANN):
    """Forgets to reverse the gradient."""

    def strength(self, at):
        return -1.0


class Muddled(DANN):
    """Cuts the critic's verdicts at the wrong place."""

    def added(self, pair, *, at):
        verdict = self.critic(reverse_gradient(torch.cat([pair.zs, pair.zt]), self.strength(at)))
        even, odd = verdict[::2], verdict[1::2]
        return domain_loss(even, odd), {"critic_accuracy": domain_accuracy(even, odd)}


class Untold(SourceOnly):
    """Logs the accuracy of what is no critic: nothing is reversed on its way."""

    def __init__(self, *args):
        super().__init__(*args)
        self.judge = nn.Linear(self.encoder.width, 1)

    def step(self, source, *, at):
        z = self.encode(source).pooled
        verdict = self.judge(z)[:, 0]
        yield Loss(
            self.task.loss(self.head(z), source.labels) + domain_loss(verdict[:16], verdict[16:]),
            logs={"critic_accuracy": domain_accuracy(verdict[:16], verdict[16:])},
        )


class Deaf(DANN):
    """Reverses the gradient by its own factor, whatever the run says."""

    def reverse(self, z, strength, at):
        return reverse_gradient(z, strength)


class TakesTurns(SourceOnly):
    """A critic and an encoder that learn in turns. Inverted labels replace a reversed gradient."""

    inverted = True

    def __init__(self, *args):
        super().__init__(*args)
        self.judge = nn.Sequential(Critic(self.encoder.width, 32))

    def phases(self):
        return [Phase("adapt", self.step, ("source", "target"), self.learners())]

    def step(self, source, target, *, at):
        zs, zt = self.encode_joint(source, target)
        yield Loss(domain_loss(self.judge(zs.pooled.detach()), self.judge(zt.pooled.detach())), by=("judge",))
        zs, zt = self.encode_joint(source, target)
        vs, vt = self.judge(zs.pooled), self.judge(zt.pooled)
        fooled = domain_loss(vt, vs) if self.inverted else domain_loss(vs, vt)
        task = self.task.loss(self.head(zs.pooled), source.labels)
        others = tuple(name for name in self.learners() if name != "judge")
        yield Loss(task + 0.1 * fooled, by=others, logs={"task": task})


class Denies(SourceOnly):
    """Says that it leaves the backbone alone."""

    trains_backbone = False


class DeafInTurns(TakesTurns):
    """Logs the accuracy that steers the reversal, and ignores it."""

    def step(self, source, target, *, at):
        for loss in super().step(source, target, at=at):
            yield Loss(loss.total, by=loss.by, logs={**loss.logs, "critic_accuracy": torch.tensor(0.9)})


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (Counts, "after resuming"),
        (Meddles, r"outside what learns: \['encoder.backbone"),
        (Writes, "changes what it does not name"),
        (OwnOptimiser, "an optimiser of its own"),
        (Climbs, "the task loss does not fall"),
        (Spies, "sealed labels of the target change"),
        (NeverReversed, "gives the encoder no gradient"),
        (Helps, "the gradient is not reversed"),
        (Muddled, "does not fall|no better than chance"),
        (Denies, r"trains_backbone is False, and these phases do: \['source'\]"),
        (Untold, "no critic is found"),
        (Deaf, "phase 'adapt' reverses a gradient and ignores at.reversal"),
        (DeafInTurns, "phase 'adapt' reverses a gradient and ignores at.reversal"),
    ],
)
def test_broken_fails_the_suite(broken, reason):
    with pytest.raises(AssertionError, match=reason):
        check(broken)


class TakesNoTurns(TakesTurns):
    """Forgets to invert the labels."""

    inverted = False


def test_inverted_labels_are_a_reversal_too():
    check(TakesTurns)
    with pytest.raises(AssertionError, match="the gradient is not reversed"):
        check(TakesNoTurns)


class LocalTeacher(SourceOnly):
    """Moves a frozen network by the rows of one process alone."""

    def __init__(self, *args):
        super().__init__(*args)
        self.prototype = nn.Linear(self.encoder.width, 1).requires_grad_(False)

    def phases(self):
        learners = {name: own for name, own in self.learners().items() if name != "prototype"}
        return [Phase("source", self.step, ("source",), learners)]

    def step(self, source, *, at):
        z = self.encode(source).pooled
        yield Loss(self.task.loss(self.head(z), source.labels))
        with torch.no_grad():
            self.prototype.weight.copy_(z.mean(dim=0, keepdim=True))


class BySum(SourceOnly):
    """Its loss is a sum over rows in one process; two average theirs: half of it."""

    def step(self, source, *, at):
        rows = torch.nn.functional.cross_entropy(self.head(self.encode(source).pooled), source.labels, reduction="sum")
        many = torch.distributed.is_initialized()
        yield Loss(rows / (len(source) * (2 if many else 1)))


class BehindTheWrapper(SourceOnly):
    """Calls a part of the encoder, past what averages gradients over processes."""

    def step(self, source, *, at):
        yield Loss(self.task.loss(self.head(self.encoder.backbone(source.inputs).pooled), source.labels))


class AttractionAlone(AAD):
    """AaD without its batch statistic: then only the memories stand between two processes and one."""

    settings = ("source-free",)

    def strength(self, at, rows):
        return 0.0


def exact(cls):
    """A critic without BatchNorm, where that can be had. It is small."""
    options = {"critic_batchnorm": False, "critic_width": 32, "adversary_width": 32}
    return ToyWorld(cls, **{key: value for key, value in options.items() if key in cls.Options.model_fields})


@pytest.mark.ranks
def test_two_processes():
    """All built-in strategies, and broken ones, in one start of two processes."""
    built_in = {name: exact(plugins.load("strategies", name)) for name in BUILT_IN}
    broken = [ToyWorld(cls) for cls in (LocalTeacher, BySum, BehindTheWrapper)]
    banks = ToyWorld(AttractionAlone)
    found = states([*built_in.values(), *broken, banks])
    compared = {name: compare(world, of, 2) for (name, world), of in zip(built_in.items(), found, strict=False)}
    assert {name: wrong for name, (wrong, _) in compared.items() if wrong} == {}
    rows_alone = {name for name, (_, equal) in compared.items() if equal}
    assert {"source-only", "finetune", "dann", "cdan", "fixmatch", "mean-teacher", "l2-sp", "lp-ft"} <= rows_alone
    assert not {"coral", "mcc", "bnm", "shot"} & rows_alone
    teacher, by_sum, behind = (
        compare(world, of, 2)[0] for world, of in zip(broken, found[len(built_in) :], strict=False)
    )
    assert "drift apart" in teacher
    assert "end elsewhere than one" in by_sum
    assert "AttributeError" in behind
    alone = state(banks, batch_size=ROWS)
    assert max(gap(alone[key], found[-1][0][key]) for key in alone) < 1e-5, "the processes remember other rows"


def test_toy_rows_have_views_that_belong_to_rows_and_seals_that_hold():
    rows = toy_domain(0, 0, sealed=True)
    assert isinstance(rows, ToyRows)
    one, many = rows.fetch([5]), rows.fetch([3, 5])
    assert torch.equal(one.view("strong").inputs["image"][0], many.view("strong").inputs["image"][1])
    assert one.labels is None
    assert rows.labels is None
    assert rows.hidden is not None
