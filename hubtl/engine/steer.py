"""Steer a phase that adjusts itself: measure its logs, and apply the levels in force."""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn
from torch.utils.hooks import RemovableHandle

from hubtl.engine.adjust import Adjustment, Controller, Levels
from hubtl.engine.average import WeightAverage
from hubtl.settings import logger
from hubtl.strategy import Phase, Strategy


class Window:
    """Measure the updates since the last look: mean loss, its noise, the critic's accuracy.

    Nothing is read from the device before ``means``. The loss is the supervised one where a step logs ``task``. Its
    noise is the standard deviation of an update, from the differences between neighbours, so that a loss that falls
    evenly has none.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self._sums: dict[str, torch.Tensor] = dict(state["sums"]) if state else {}
        self._last: torch.Tensor | None = state["last"] if state else None
        self._n: int = state["n"] if state else 0
        self._supervised: bool = state["supervised"] if state else False

    def count(self, said: Mapping[str, torch.Tensor]) -> None:
        """Add the logs of one update."""
        self._supervised = "task" in said
        loss = said["task" if self._supervised else "loss"]
        self._add("loss", loss)
        if self._last is not None:
            self._add("jumps", (loss - self._last.to(loss.device)).square())
        critics = [value for name, value in said.items() if name.split("/")[-1] == "critic_accuracy"]
        if critics:
            self._add("critic_accuracy", torch.stack(critics).max())
        self._last = loss
        self._n += 1

    def _add(self, name: str, value: torch.Tensor) -> None:
        self._sums[name] = self._sums[name].to(value.device) + value if name in self._sums else value

    def means(self, accelerator: Accelerator) -> dict[str, float]:
        """Return ``loss``, ``noise``, ``critic_accuracy`` and ``supervised`` (0 or 1).

        They are equal on all ranks.
        """
        if not self._n:
            return {}
        names = sorted(self._sums)
        sums = torch.stack([self._sums[name] for name in names])
        if accelerator.num_processes > 1:
            sums = accelerator.reduce(sums, reduction="mean")
        found = dict(zip(names, (sums / self._n).tolist(), strict=True))
        jumps = found.pop("jumps", None)
        if jumps is not None and self._n > 2:  # ranks draw apart: the mean over them is as much less noisy
            found["noise"] = math.sqrt(jumps * self._n / (2 * (self._n - 1) * accelerator.num_processes))
        return {**found, "supervised": float(self._supervised)}

    def state(self) -> dict[str, Any]:
        return {"sums": self._sums, "last": self._last, "n": self._n, "supervised": self._supervised}


def drop_before(head: nn.Module, levels: Levels) -> RemovableHandle:
    """Apply dropout to the head's inputs while it learns. The level is the one in force."""

    def drop(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if levels.dropout == 0 or not module.training:
            return inputs
        return (F.dropout(inputs[0], levels.dropout), *inputs[1:])

    return head.register_forward_pre_hook(drop)


class Steering:
    """Apply the controller's decisions to one phase. It does so between two updates and with the bare strategy.

    Without a controller the levels are those of the recipe, and stay. ``told`` is called with each adjustment.
    """

    def __init__(
        self,
        controller: Controller | None,
        strategy: Strategy,
        phase: Phase,
        optimizer: torch.optim.Optimizer | None,
        accelerator: Accelerator,
        weight_decay: float,
        told: list[dict[str, Any]],
    ) -> None:
        self.controller = (
            controller if optimizer is not None else None
        )  # where nothing learns there is nothing to adjust
        self.levels = self.controller.levels if self.controller is not None else Levels()
        self.window = Window()
        self.average: WeightAverage | None = None
        self.strategy, self.phase, self.optimizer, self.accelerator = strategy, phase, optimizer, accelerator
        self.weight_decay, self.told = weight_decay, told
        self._set_decay()

    def begin(self, step: int) -> None:
        assert self.controller is not None
        self.controller.begin(self.strategy, self.phase, step)

    def look(self, step: int, fraction: float) -> dict[str, float]:
        """Let the controller look, apply its decisions, and return the measured losses."""
        assert self.controller is not None
        means, self.window = self.window.means(self.accelerator), Window()
        measured, decided = self.controller.look(self.strategy, self.phase, means, step=step, fraction=fraction)
        for adjustment in decided:
            self._do(adjustment)
        return {name: value for name, value in measured.items() if name in ("training_loss", "validation_loss")}

    def retreat(self, step: int) -> bool:
        """Restore the last good weights at a lower rate. The controller has to allow it."""
        adjustment = self.controller.diverged(step, "a loss is not finite") if self.controller is not None else None
        if adjustment is None:
            return False
        self._do(adjustment)
        self.window = Window()
        return True

    def _do(self, adjustment: Adjustment) -> None:
        """Apply an adjustment whose level has moved already."""
        assert self.controller is not None
        assert self.optimizer is not None
        if adjustment.restores:
            self.strategy.load_state_dict(self.controller.good)
            self.strategy.to(self.accelerator.device)
            self.optimizer.state.clear()  # momentum leads to where the weights came from
            if self.average is not None:
                self.average.begin()
        self._set_decay()
        logger.info("adjust     update %d: %s: %s", adjustment.step, adjustment.seen, adjustment.done)
        self.told.append({"step": adjustment.step, "seen": adjustment.seen, "done": adjustment.done})

    def _set_decay(self) -> None:
        if self.controller is None or self.optimizer is None:
            return
        for group in self.optimizer.param_groups:
            if "weight_decay" in group:
                group["weight_decay"] = self.weight_decay * self.levels.weight_decay
