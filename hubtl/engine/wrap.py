"""Wrap a strategy's direct children for devices and processes. They stay wrapped while it trains.

Each child is wrapped by itself. Wrapping the whole strategy raises no error and lets the ranks drift apart, because its
step does not go through the wrapper's forward.
"""

from accelerate import Accelerator
from torch import nn

from hubtl.strategy import Strategy


class Wrapping:
    """Wrap the children in which something learns, and restore the bare ones."""

    def __init__(self, strategy: Strategy, learning: set[nn.Parameter], accelerator: Accelerator) -> None:
        self.strategy, self.learning, self.accelerator = strategy, learning, accelerator
        self._bare: dict[str, nn.Module] = {}

    def on(self) -> None:
        for name, child in list(self.strategy.named_children()):
            if any(p in self.learning for p in child.parameters()):
                self._bare[name] = child
                setattr(self.strategy, name, self.accelerator.prepare_model(child))

    def off(self) -> None:
        for name, child in self._bare.items():
            self.accelerator.unwrap_model(getattr(self.strategy, name), keep_fp32_wrapper=False)
            setattr(self.strategy, name, child)
        self._bare.clear()
        self.accelerator._models.clear()  # or each round of wrapping would keep the one before alive
