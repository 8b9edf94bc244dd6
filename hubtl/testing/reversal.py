"""Find gradient reversals in the autograd graph of a step: they mark critics, and must follow the run.

Critics need no declaration: a critic is a child with a gradient reversal in its arguments, or in itself, or one that is
built on ``hubtl.modules.Critic``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from hubtl.modules import Critic, reverse_gradient
from hubtl.strategy import Loss
from hubtl.testing.play import Play, gradient, plays
from hubtl.testing.toy import ToyWorld

WEAKER = 1 / 16  # of a reversal, to see whether it is heeded
REVERSAL = type(reverse_gradient(torch.zeros(1, requires_grad=True), 1.0).grad_fn)  # of an autograd graph


def critics(world: ToyWorld) -> list[str]:
    """Return the names of the children that play against the encoder.

    One that is built on ``Critic`` and meets no gradient of the encoder, as one that only weighs rows does, counts where
    there is no other: it may be a critic whose features were detached by mistake.
    """
    playing, built = set[str](), set[str]()
    children = list[str]()
    for number, _ in enumerate(world.strategy().phases()):
        play = plays(world, world.streams(), number)
        own = {n: child for n, child in play.strategy.named_children() if n not in ("encoder", "head")}
        children = list(own)
        built |= {name for name, child in own.items() if any(isinstance(m, Critic) for m in child.modules())}
        traced = _traced(play, own)
        playing |= {n for n, given, said in traced.calls if traced.reversed(said) or (n in built and _graph(given))}
    return [name for name in children if name in (playing or built)]


def check_reversal(world: ToyWorld, logged: bool) -> None:
    """Check that a method scales its reversed gradient by ``at.reversal``. Every phase is checked.

    Phases in which the encoder does not learn are left out.

    Args:
        world: the strategy.
        logged: whether it logs a ``critic_accuracy``, by which a run steers ``at.reversal``.

    Raises:
        AssertionError: where the gradient of the encoder stays the same: a record would report a change without effect.
    """
    heeded = list[bool]()
    for number, phase in enumerate(world.strategy().phases()):
        if not plays(world, world.streams(), number).encoder():
            continue
        gradients = []
        for reversal in (1.0, WEAKER):
            play = plays(world, world.streams(), number)
            play.at = replace(play.at, reversal=reversal)
            encoder, traced = play.encoder(), _traced(play, {})
            plays_on = traced.reversed([loss.total for loss in traced.losses]) or any(
                key.split("/")[-1] == "critic_accuracy" for loss in traced.losses for key in loss.logs
            )
            gradients.append(gradient(play.total(traced.losses, encoder), encoder))
        if plays_on:
            same = all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
            assert not same, f"phase {phase.name!r} reverses a gradient and ignores at.reversal: self.reverse(z, …, at)"
            heeded.append(not same)
    assert heeded or not logged, "critic_accuracy is logged where the encoder does not learn"


@dataclass
class Traced:
    """Hold one step of the autograd graph, with its children's arguments."""

    losses: list[Loss]
    calls: list[tuple[str, Any, Any]]  # child, what it was called with, what came out
    inside: set[Any]  # reversals in the encoder itself, which are the model's business

    def reversed(self, values: Any) -> bool:
        """Return whether the strategy has reversed a gradient before some tensors."""
        return any(isinstance(node, REVERSAL) for node in _graph(values) - self.inside)


def _traced(play: Play, children: Mapping[str, nn.Module]) -> Traced:
    calls: list[tuple[str, Any, Any]] = []
    inside = set[Any]()

    def noted(name: str) -> Any:
        return lambda _, arguments, keywords, made: calls.append((name, (arguments, keywords), made))

    def looked_into(_: nn.Module, __: Any, features: Any) -> None:
        inside.update(node for node in _graph(features) if isinstance(node, REVERSAL))

    handles = [child.register_forward_hook(noted(name), with_kwargs=True) for name, child in children.items()]
    handles.append(play.strategy.encoder.register_forward_hook(looked_into))
    try:
        return Traced(play.losses(), calls, inside)
    finally:
        for handle in handles:
            handle.remove()


def _graph(values: Any) -> set[Any]:
    """Return the operations that made some tensors, as far as gradients flow."""
    left = [v.grad_fn for v in tree_leaves(values) if isinstance(v, Tensor) and v.grad_fn is not None]
    known = set[Any](left)
    while left:
        after = {node for node, _ in left.pop().next_functions if node is not None} - known
        known |= after
        left += after
    return known
