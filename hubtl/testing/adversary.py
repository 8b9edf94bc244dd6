"""Check critics: they must learn to discriminate the domains, and the encoder must learn against them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from hubtl.engine.modes import freeze_all_but, learning_groups, set_modes
from hubtl.errors import HubtlError
from hubtl.testing.play import gradient, plays
from hubtl.testing.reversal import critics
from hubtl.testing.toy import ToyWorld, toy_domain

NUDGE = 1e-2  # length of the step along which a loss is compared
UPDATES = 20
CRITIC = "critic_accuracy"  # what a critic's share of right answers is logged as
TOLD = 0.75  # of the rows of separable domains; 0.5 is chance


def check_critics(world: ToyWorld) -> None:
    """Check every critic, in every phase in which it learns.

    Raises:
        AssertionError: with the failed check.
    """
    strategy = world.strategy()
    names = critics(world)
    for number, phase in enumerate(strategy.phases()):
        groups = learning_groups(phase.learns, set(strategy.parameters()))
        learning = {p for ps in groups.values() for p in ps}
        for name in names:
            if any(p in learning for p in strategy.get_submodule(name).parameters()):
                _discerns(world, number, names, name)
                _opposes(world, number, name)


def _discerns(world: ToyWorld, number: int, names: Sequence[str], name: str) -> None:
    """Check that the critic learns to discriminate frozen features of distant domains."""
    apart = world.streams(toy_domain(25, 1, offset=6.0, sealed=True))
    play = plays(world, apart, number, steps=UPDATES)
    own = set(play.critic(name).parameters())
    freeze_all_but(play.strategy, own)
    set_modes(play.strategy, own)
    optimizer = torch.optim.Adam(list(own), lr=0.01)
    totals, told = [], []
    for step in range(UPDATES):
        losses = play.losses(step)
        total = play.total(losses, list(own))
        optimizer.zero_grad()
        if total.requires_grad:
            total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
        logged = {key.replace("/", "_").replace("-", "_"): v for loss in losses for key, v in loss.logs.items()}
        logged_as = CRITIC if len(names) == 1 else CRITIC.replace("critic", name)  # of several, each by its name
        told.append([float(v) for key, v in logged.items() if key.endswith(logged_as)])
    where = f"of {name!r} in phase {play.phase.name!r}, on frozen features of domains that lie far apart,"
    first, last = totals[0], sum(totals[-5:]) / 5
    assert last < first - 0.01 * abs(first), f"the loss {where} does not fall: {first:.4f}, then {last:.4f}"
    if any(told):
        reached = min(sum(column) / 5 for column in zip(*told[-5:], strict=True))
        assert reached >= TOLD, f"{where} it is right for {reached:.2f}: no better than chance"


def _opposes(world: ToyWorld, number: int, name: str) -> None:
    """Check that the encoder's gradient through the critic raises its loss.

    The gradient has to exist; the loss is the critic's own.

    A reversed gradient differs from the loss, so it is compared with the true loss: with the critic on its previous
    input, less the critic on the encoder's present output.
    """
    play = plays(world, world.streams(), number)
    encoder, own = play.encoder(), list(play.critic(name).parameters())
    if not encoder:
        return
    seen: list[Any] = []

    def noted(call: int, inputs: Any) -> Any:
        seen.append(tree_map(_detached, inputs))
        return inputs

    with _fed(play.critic(name), noted):
        whole = gradient(play.total(play.losses(), encoder), encoder)
    if not seen:
        raise HubtlError(f"phase {play.phase.name!r} trains {name!r} and does not call it", hint=f"self.{name}(…)")
    with _fed(play.critic(name), lambda call, inputs: tree_map(_detached, inputs)):
        rest = gradient(play.total(play.losses(), encoder), encoder)
    through = [a - b for a, b in zip(whole, rest, strict=True)]
    length = float(torch.stack([g.norm() for g in through]).norm())
    where = f"what {name!r} says in phase {play.phase.name!r}"
    assert length > 1e-7, f"{where} gives the encoder no gradient, even at the end of every ramp"

    def moved(distance: float) -> float:
        """Return the critic's loss at other encoder weights. The part that does not depend on its input is subtracted."""
        with torch.no_grad():
            for p, g in zip(encoder, through, strict=True):
                p.add_(g, alpha=distance / length)
        live = float(play.total(play.losses(), own).detach())
        with _fed(play.critic(name), lambda call, inputs: seen[call]):
            still = float(play.total(play.losses(), own).detach())
        with torch.no_grad():
            for p, g in zip(encoder, through, strict=True):
                p.sub_(g, alpha=distance / length)
        return live - still

    slope = (moved(NUDGE) - moved(-NUDGE)) / (2 * NUDGE)
    assert slope < 0, f"{where} makes the encoder help it: the gradient is not reversed"


@contextmanager
def _fed(module: nn.Module, change: Any) -> Iterator[None]:
    """Change the arguments of a module; ``change`` gets the number of the call and the arguments."""
    calls = [0]

    def hook(_: nn.Module, arguments: Any) -> Any:
        calls[0] += 1
        return change(calls[0] - 1, arguments)

    handle = module.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value
