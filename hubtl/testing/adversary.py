"""Critics: they must be able to tell what can be told, and what they say must reach the encoder, the other way round."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from hubtl.batch import Batch
from hubtl.data.streams import StepBatches
from hubtl.engine.device import make_accelerator
from hubtl.engine.modes import freeze_all_but, learning_groups, set_modes
from hubtl.engine.sweep import outputs
from hubtl.errors import HubtlError
from hubtl.modules import Critic
from hubtl.recipe.schema import RunSection
from hubtl.strategy import Loss, Phase, Progress, Strategy, Swept
from hubtl.testing.toy import ToyWorld, toy_domain

LATE = 1_000_000  # updates after which every ramp is at its end
NUDGE = 1e-2  # length of the step along which a loss is compared
UPDATES = 20
TOLD = 0.75  # of the rows of separable domains; 0.5 is chance


def critics(strategy: Strategy) -> list[str]:
    """The children that play against the encoder: those that the class names, or else every ``hubtl.modules.Critic``."""
    return list(strategy.critics) or [n for n, child in strategy.named_children() if isinstance(child, Critic)]


@dataclass
class Play:
    """One phase of a fresh strategy, ready for steps that nothing learns from."""

    strategy: Strategy
    phase: Phase
    groups: dict[str, list[nn.Parameter]]
    batches: list[dict[str, Batch]]
    at: Progress

    def critic(self, name: str) -> nn.Module:
        return self.strategy.get_submodule(name)

    def encoder(self) -> list[nn.Parameter]:
        learning = {p for ps in self.groups.values() for p in ps}
        return [p for p in self.strategy.encoder.parameters() if p in learning]

    def losses(self, step: int = 0) -> list[Loss]:
        """What the step yields, always with the same random numbers."""
        torch.manual_seed(3)
        return list(self.phase.step(**self.batches[step], at=self.at))

    def total(self, losses: Sequence[Loss], learners: Sequence[nn.Parameter]) -> Tensor:
        """The sum of those losses from which some of the learners learn."""
        named = {name for name, ps in self.groups.items() if any(p in set(learners) for p in ps)}
        own = [loss.total for loss in losses if loss.by is None or named & set(loss.by)]
        return torch.stack(own).sum() if own else torch.zeros(())


def plays(world: ToyWorld, streams: Mapping[str, Any], number: int, *, steps: int = 1) -> Play:
    """Phase ``number`` of a fresh strategy, at the end of its ramps, after its refresh."""
    strategy = world.strategy()
    phase = list(strategy.phases())[number]
    groups = learning_groups(phase.learns, set(strategy.parameters()))
    accelerator = make_accelerator(RunSection(device="cpu"), None)

    def sweep(stream: str) -> Swept:
        seen = outputs(strategy.deployed(), streams[stream], accelerator)
        labels = streams[stream].labels
        return Swept(seen.features, seen.logits, None if labels is None else torch.from_numpy(labels))

    if phase.refresh is not None:
        phase.refresh(sweep, Progress(number, 0, 0, 0.0))
    learning = {p for ps in groups.values() for p in ps}
    freeze_all_but(strategy, learning)
    set_modes(strategy, learning)
    seen = {name: streams[name] for name in phase.sees}
    batches = StepBatches(seen, batch_size=32, seed=number)
    return Play(strategy, phase, groups, [batches[i] for i in range(steps)], Progress(number, 0, LATE, 1.0))


def check_critics(world: ToyWorld) -> None:
    """Every critic, in every phase in which it learns. Raises AssertionError with what is amiss."""
    strategy = world.strategy()
    names = critics(strategy)
    for number, phase in enumerate(strategy.phases()):
        groups = learning_groups(phase.learns, set(strategy.parameters()))
        learning = {p for ps in groups.values() for p in ps}
        for name in names:
            if not hasattr(strategy, name):
                raise HubtlError(f"critics names {name!r}, and there is no such child", hint="self.critic = …")
            if any(p in learning for p in strategy.get_submodule(name).parameters()):
                _discerns(world, number, name)
                _opposes(world, number, name)


def _discerns(world: ToyWorld, number: int, name: str) -> None:
    """On frozen features of domains far apart the critic learns to tell them."""
    apart = world.streams(toy_domain(25, 1, offset=6.0, sealed=True))
    play = plays(world, apart, number, steps=UPDATES)
    own = set(play.critic(name).parameters())
    freeze_all_but(play.strategy, own)
    set_modes(play.strategy, own)
    optimizer = torch.optim.Adam(list(own), lr=0.01)
    totals, accuracies = [], []
    for step in range(UPDATES):
        losses = play.losses(step)
        total = play.total(losses, list(own))
        optimizer.zero_grad()
        if total.requires_grad:
            total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
        logged = {key.replace("/", "_").replace("-", "_"): v for loss in losses for key, v in loss.logs.items()}
        own_name = "critic" if len(critics(play.strategy)) == 1 else name  # of several, each by its name
        accuracies.append([float(v) for key, v in logged.items() if key.endswith(f"{own_name}_accuracy")])
    where = f"of {name!r} in phase {play.phase.name!r}, on frozen features of domains that lie far apart,"
    first, last = totals[0], sum(totals[-5:]) / 5
    assert last < first - 0.01 * abs(first), f"the loss {where} does not fall: {first:.4f}, then {last:.4f}"
    if any(accuracies):
        reached = min(sum(column) / 5 for column in zip(*accuracies[-5:], strict=True))
        assert reached >= TOLD, f"the accuracy {where} is {reached:.2f}: no better than chance"


def _opposes(world: ToyWorld, number: int, name: str) -> None:
    """The encoder's gradient through the critic is there, and against it makes the critic's own loss rise.

    A reversed gradient is a lie that backward tells, so it is compared with what the loss really does: with the critic
    fed what it saw before, less the critic fed what the encoder makes now.
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
        whole = _gradient(play.total(play.losses(), encoder), encoder)
    if not seen:
        raise HubtlError(f"phase {play.phase.name!r} trains {name!r} and does not call it", hint=f"self.{name}(…)")
    with _fed(play.critic(name), lambda call, inputs: tree_map(_detached, inputs)):
        rest = _gradient(play.total(play.losses(), encoder), encoder)
    through = [a - b for a, b in zip(whole, rest, strict=True)]
    length = float(torch.stack([g.norm() for g in through]).norm())
    where = f"what {name!r} says in phase {play.phase.name!r}"
    assert length > 1e-7, f"{where} gives the encoder no gradient, even at the end of every ramp"

    def moved(distance: float) -> float:
        """The critic's loss at other encoder weights, less what is not of the critic's input."""
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
    """Change what a module is called with; ``change`` gets the number of the call and the arguments."""
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


def _gradient(total: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    if not total.requires_grad:
        return [torch.zeros_like(p) for p in parameters]
    found = torch.autograd.grad(total, list(parameters), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]
