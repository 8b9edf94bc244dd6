"""One update: several micro-batches in step, gradients only for those who learn, and refusals by name."""

import pytest
import torch
from torch import nn

from hubtl.engine.lockstep import Lockstep
from hubtl.errors import HubtlError
from hubtl.strategy import Loss, Phase


class World:
    """Two linear groups, an optimiser, and a lockstep around a step. The optimiser has momentum and decay."""

    def __init__(self, step):
        torch.manual_seed(0)
        self.net = nn.ModuleDict({"f": nn.Linear(4, 3), "g": nn.Linear(3, 1)})
        self.groups = {name: list(child.parameters()) for name, child in self.net.items()}
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
        self.seen = []  # gradients at each update
        self.step = step
        phase = Phase("adapt", step, ("source",), self.net)
        self.lockstep = Lockstep(phase, self.groups, lambda loss: loss.backward(), self.update)

    def update(self):
        self.seen.append({n: [p.grad for p in ps] for n, ps in self.groups.items()})
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def run(self, *batches):
        return self.lockstep.run([self.step(self.net, batch) for batch in batches])

    def weights(self, name):
        return [p.detach().clone() for p in self.groups[name]]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def squared(net, x):
    return net["g"](net["f"](x)).square().mean()


def plain(net, x):
    yield Loss(squared(net, x))


X = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))


def test_two_micro_batches_equal_one_big_batch():
    big, small = World(plain), World(plain)
    before = big.weights("f")
    for _ in range(5):
        whole, halves = big.run(X), small.run(X[:4], X[4:])
    assert not same(before, big.weights("f"))
    for name in ("f", "g"):
        for a, b in zip(big.weights(name), small.weights(name), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    torch.testing.assert_close(whole["loss"], halves["loss"])


def test_groups_that_a_loss_does_not_name_stay_bit_equal_in_spite_of_momentum_and_decay():
    def two(net, x):
        yield Loss(squared(net, x), by=("g",))
        yield Loss(squared(net, x))

    def one(net, x):
        yield Loss(squared(net, x), by=("g",))

    world = World(two)
    world.run(X)
    assert world.seen[0]["f"] == [None, None]
    assert world.seen[1]["f"][0].abs().max() > 0
    world.step = one
    world.lockstep = Lockstep(Phase("adapt", one, (), world.net), world.groups, lambda x: x.backward(), world.update)
    f, g = world.weights("f"), world.weights("g")
    world.run(X)
    assert same(f, world.weights("f")), "the momentum of the update before, or decay, moved it"
    assert not same(g, world.weights("g"))


def test_a_loss_does_not_leave_gradients_to_the_next_one():
    def adversarial(net, x):
        yield Loss(1000 * squared(net, x), by=("g",))
        yield Loss(0 * squared(net, x), by=("f",))

    world = World(adversarial)
    world.run(X)
    assert all(gradient.abs().max() == 0 for gradient in world.seen[1]["f"])


def test_later_losses_see_the_weights_that_earlier_ones_left():
    outputs = []

    def two(net, x):
        for _ in range(2):
            outputs.append(net["g"](net["f"](x)).detach())
            yield Loss(squared(net, x))

    World(two).run(X)
    assert not torch.equal(outputs[0], outputs[1])


def test_what_follows_the_last_yield_runs_once_per_update():
    after = []

    def with_average(net, x):
        yield Loss(squared(net, x))
        after.append(1)

    world = World(with_average)
    world.run(X[:2], X[2:4], X[4:])
    assert len(after) == 1
    world.run(X[:2], X[2:4], X[4:])
    assert len(after) == 2


def test_logs_are_averaged_over_micro_batches_and_carry_no_graph():
    def logging(net, x):
        yield Loss(squared(net, x), logs={"mean": x.mean()})
        yield Loss(squared(net, x), logs={"other": x.sum() + net["f"].weight.sum() * 0})

    said = World(logging).run(X[:4], X[4:])
    torch.testing.assert_close(said["mean"], X.mean())
    assert set(said) == {"loss", "mean", "other"}
    assert not any(value.requires_grad for value in said.values())


def refusal(step, *batches, updates=1):
    world = World(step)
    batches = batches or (X,)
    for number in range(updates - 1):
        world.run(*(batch + number for batch in batches))
    with pytest.raises(HubtlError) as caught:
        world.run(*(batch + updates - 1 for batch in batches))
    assert torch.is_grad_enabled(), "gradients are off for everyone after the refusal"
    assert step.__name__ in str(caught.value)
    return caught.value


def test_a_step_that_returns_its_loss_is_told_to_yield():
    def returns(net, x):
        return Loss(squared(net, x))

    error = refusal(returns)
    assert "returned Loss: a step must yield its losses" in str(error)
    assert error.hint == "yield Loss(…)"


def test_a_step_that_yields_nothing_is_refused():
    def silent(net, x):
        if len(x) > 100:
            yield Loss(squared(net, x))

    assert "yielded no loss" in str(refusal(silent))


def test_a_yield_under_no_grad_is_refused_and_gradients_stay_on():
    def careless(net, x):
        loss = squared(net, x)
        with torch.no_grad():
            yield Loss(loss)

    assert "no_grad" in str(refusal(careless))


def test_a_number_of_yields_that_varies_between_updates_is_refused():
    def moody(net, x):
        yield Loss(squared(net, x))
        if x.mean() > 0.5:
            yield Loss(squared(net, x))

    assert "yielded 2 losses, and 1 before" in str(refusal(moody, X - X.mean(), updates=2))


def test_a_number_of_yields_that_varies_between_micro_batches_is_refused():
    def moody(net, x):
        for _ in range(len(x)):
            yield Loss(squared(net, x))

    assert "fewer losses for one micro-batch" in str(refusal(moody, X[:3], X[:2]))


def test_learners_that_vary_between_micro_batches_are_refused():
    def moody(net, x):
        yield Loss(squared(net, x), by=("f",) if len(x) > 3 else ("g",))

    assert "other groups learn" in str(refusal(moody, X[:4], X[:2]))


def test_an_unknown_group_is_refused_with_the_known_ones():
    def misspelt(net, x):
        yield Loss(squared(net, x), by=("h",))

    error = refusal(misspelt)
    assert "names groups ['h'] that learn nothing here" in str(error)
    assert error.hint == "one of ['f', 'g']"


def test_a_loss_that_nothing_learns_from_is_refused():
    def detached(net, x):
        yield Loss(squared(net, x).detach())

    assert "nothing learns from" in str(refusal(detached))


def test_a_bare_tensor_is_refused():
    def bare(net, x):
        yield squared(net, x)

    assert "yields Tensor" in str(refusal(bare))
