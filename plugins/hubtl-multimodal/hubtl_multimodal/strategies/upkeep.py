"""Provide statistics of one domain alone, a slow teacher, and ramps."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def unseen(module: nn.Module) -> Iterator[None]:
    """Keep the running statistics of BatchNorm unchanged by forwards inside the block.

    In training it uses its batch's.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, decay: float) -> None:
    """Move weights and running statistics to ``decay · slow + (1 − decay) · fast``; copy counters."""
    for mine, theirs in zip(slow.parameters(), fast.parameters(), strict=True):
        mine.lerp_(theirs, 1 - decay)
    for old, new in zip(slow.buffers(), fast.buffers(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)


def ramp(t: float) -> float:
    """Return ``2 / (1 + exp(−10 t)) − 1``: from 0 to 1 while ``t`` goes from 0 to 1."""
    return 2 / (1 + math.exp(-10 * t)) - 1
