"""Freeze parameters, and set train or eval mode accordingly."""

from collections.abc import Mapping

import torch
from accelerate import Accelerator
from torch import nn

from hubtl.strategy import Learner


def parameters_of(learner: Learner) -> list[nn.Parameter]:
    return list(learner.parameters()) if isinstance(learner, nn.Module) else list(learner)


def learning_groups(learns: Mapping[str, Learner], tunable: set[nn.Parameter]) -> dict[str, list[nn.Parameter]]:
    """Return the parameters of each group that the tuner left trainable.

    A shared parameter belongs to the first group.
    """
    groups: dict[str, list[nn.Parameter]] = {}
    taken: set[nn.Parameter] = set()
    for name, learner in learns.items():
        groups[name] = [p for p in parameters_of(learner) if p in tunable and p not in taken]
        taken.update(groups[name])
    return groups


def freeze_all_but(root: nn.Module, learning: set[nn.Parameter]) -> None:
    for p in root.parameters():
        p.requires_grad_(p in learning)


def set_modes(module: nn.Module, learning: set[nn.Parameter], inherited: bool = False) -> None:
    """Set train mode exactly where something learns.

    A frozen BatchNorm keeps its statistics, a frozen part has no dropout. A module without parameters follows the one
    around it.
    """
    own = list(module.parameters())
    module.training = any(p in learning for p in own) if own else inherited
    for child in module.children():
        set_modes(child, learning, module.training)


@torch.no_grad()
def average_buffers(module: nn.Module, accelerator: Accelerator) -> None:
    """Average float buffers (BatchNorm statistics) over all ranks. Each rank saw other rows."""
    if accelerator.num_processes == 1:
        return
    for buffer in module.buffers():
        if buffer.is_floating_point():
            buffer.copy_(accelerator.reduce(buffer.clone(), reduction="mean"))
