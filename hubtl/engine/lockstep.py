"""Make one update: step generators of several micro-batches advance together.

Each yield is one optimiser step. For losses that are means over rows this equals one big batch. Code after the last
yield of a step runs once per update.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from hubtl.errors import HubtlError
from hubtl.plugins.blame import broken, minded, owner
from hubtl.strategy import Loss, Phase

Backward = Callable[[torch.Tensor], None]
Update = Callable[[], None]
END = object()
MOST = 256  # losses of one step


class Lockstep:
    """Run the updates of one phase."""

    def __init__(
        self, phase: Phase, groups: Mapping[str, list[nn.Parameter]], backward: Backward, update: Update
    ) -> None:
        self.phase, self.groups, self.backward, self.update = phase, groups, backward, update
        self.owner = getattr(phase.step, "__self__", phase.step)  # the strategy, where the step is a method of it
        self.name = getattr(phase.step, "__qualname__", repr(phase.step))
        self._yields: int | None = None

    def run(self, generators: Sequence[Iterator[Loss]]) -> dict[str, torch.Tensor]:
        """Run the generators to their ends and return their logs. Logs are averaged over micro-batches.

        Raises:
            HubtlError: for a step that does not yield, yields inside ``no_grad``, names a group that the phase does not
                have, or whose number of yields varies.
        """
        for generator in generators:
            if not isinstance(generator, Iterator):
                raise self._refuse(
                    f"returned {type(generator).__name__}: a step must yield its losses", "yield Loss(…)"
                )
        meters: dict[str, torch.Tensor] = {}
        count = 0
        while True:
            if count == MOST:
                raise self._refuse(f"yields {MOST} losses and goes on", "end the step after its losses")
            losses = []
            for position, generator in enumerate(generators):
                loss = self._advance(generator, len(generators))
                if loss is None and position == 0:
                    for other in generators[1:]:
                        _close(other)
                    self._settle(count)
                    return meters
                if loss is None:
                    raise self._refuse("yields fewer losses for one micro-batch than for another")
                losses.append(loss)
            if any(loss.by != losses[0].by for loss in losses):
                raise self._refuse("lets other groups learn for one micro-batch than for another")
            self._drop_gradients(losses[0].by)
            self.update()
            count += 1
            for loss in losses:
                for name, value in {"loss": loss.total, **loss.logs}.items():
                    value = value.detach().float() / len(losses)
                    meters[name] = meters[name] + value if name in meters else value

    def _advance(self, generator: Iterator[Loss], n: int) -> Loss | None:
        with minded(self.owner, "its step"):
            loss: Any = next(generator, END)
        if loss is END:
            return None
        if not torch.is_grad_enabled():
            _close(generator)
            torch.set_grad_enabled(True)
            raise self._refuse(
                "yields inside torch.no_grad(), which would switch gradients off everywhere", "yield outside it"
            )
        if not isinstance(loss, Loss):
            raise self._refuse(f"yields {type(loss).__name__}", "yield Loss(total, logs={…})")
        if odd := _odd(loss):
            raise self._refuse(f"yields a Loss whose {odd}", "yield Loss(total, by=(…,), logs={…})")
        found: Loss = loss
        if loss.total.requires_grad:
            with minded(self.owner, "the gradient of its loss"):
                self.backward(loss.total / n)
        elif self.phase.learns:
            raise self._refuse("yields a loss that nothing learns from", "check phases() and the tuner")
        return found

    def _drop_gradients(self, by: tuple[str, ...] | None) -> None:
        if by is None:
            return
        if missing := set(by) - set(self.groups):
            raise self._refuse(
                f"names groups {sorted(missing)} that learn nothing here", f"one of {sorted(self.groups)}"
            )
        for name, parameters in self.groups.items():
            if name not in by:
                for p in parameters:
                    p.grad = None

    def _settle(self, count: int) -> None:
        if count == 0:
            raise self._refuse("yielded no loss", "yield Loss(…)")
        if self._yields is not None and count != self._yields:
            raise self._refuse(
                f"yielded {count} losses, and {self._yields} before: the number must not depend on the data"
            )
        self._yields = count

    def _refuse(self, what: str, hint: str = "see docs/plugins.md") -> HubtlError:
        if owner(self.owner) is None:
            return HubtlError(f"{self.name} {what}", hint=hint)
        return broken(self.owner, f"{self.name} {what}", hint)


def _odd(loss: Loss) -> str | None:
    """Describe what is wrong with a loss, or return None."""
    total: Any = loss.total
    if not isinstance(total, torch.Tensor):
        return f"total is a {type(total).__name__}, not a tensor"
    if total.ndim or not total.is_floating_point():
        return f"total is {total.dtype} of shape {tuple(total.shape)}, not a scalar"
    if loss.by is not None and not (isinstance(loss.by, tuple | list) and all(isinstance(g, str) for g in loss.by)):
        return f"by is {loss.by!r}, not names of groups"
    if not isinstance(loss.logs, Mapping):
        return f"logs are a {type(loss.logs).__name__}, not a mapping"
    for name, value in loss.logs.items():
        if not isinstance(value, torch.Tensor) or value.ndim:
            shape = f" of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else ""
            return f"log {name!r} is a {type(value).__name__}{shape}, not a scalar tensor"
    return None


def _close(generator: Iterator[Loss]) -> None:
    if isinstance(generator, Generator):  # another iterator has nothing to end
        generator.close()
