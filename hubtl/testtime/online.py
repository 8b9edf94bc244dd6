"""Run the online protocol: each batch is predicted once, scored, and only then learnt from."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hubtl.testtime.base import Stats, TestTime


@dataclass(frozen=True)
class OnlineResult:
    logits: Tensor  # [n, c], on the CPU, in stream order
    online_accuracy: float
    stats: Stats


def online(
    model: nn.Module, method: type[TestTime], batches: Iterable[Any], labels: Iterable[Tensor], **options: Any
) -> OnlineResult:
    """Run a method over a stream of batches of inputs.

    The method never sees the labels; they only score its predictions.

    Args:
        model: maps inputs to logits [b, c]; it is copied.
        method: the class of the test-time method.
        batches: batches of inputs.
        labels: classes [b] of each batch.
        **options: options of the method.
    """
    adapting = method(model, method.Options(**options))
    logits = torch.cat([adapting.predict(inputs).float().cpu() for inputs in batches])
    truth = torch.cat([rows.cpu() for rows in labels])
    return OnlineResult(logits, float((logits.argmax(dim=1) == truth).float().mean()), adapting.stats)
