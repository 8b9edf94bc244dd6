"""Average the weights of models of one start. BatchNorm statistics are those of the target."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hubtl.data.rows import Fetched
from hubtl.engine.device import Accelerator
from hubtl.modules import Classifier


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Return whether two states hold the same values, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name].cpu(), other[name].cpu()) for name in one)


@torch.no_grad()
def interpolated(models: Sequence[Classifier], shares: Sequence[float]) -> Classifier:
    """Average the weights of models of one architecture (WiSE-FT, arXiv:2109.01903).

    Values that are no floats, such as counts of batches, are the last model's. The statistics of BatchNorms are
    averaged too and fit no network: ``estimated`` computes them again.

    Args:
        models: the models.
        shares: the share of each model.

    Raises:
        ValueError: for models of different architectures.
    """
    made = copy.deepcopy(models[-1])
    states: list[Mapping[str, Any]] = [model.state_dict() for model in models]
    own = made.state_dict()
    if any(state.keys() != own.keys() for state in states):
        raise ValueError("one of the models has layers that another lacks")
    for name, value in own.items():
        if any(state[name].shape != value.shape for state in states):
            raise ValueError(f"{name} is of another shape in another model")
        parts = [state[name] for state in states]
        if value.is_floating_point():
            mean = sum(share * part.double().to(value.device) for share, part in zip(shares, parts, strict=True))
            value.copy_(mean)
    return made


def norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the BatchNorms that keep statistics."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]


@torch.no_grad()
def estimated(model: Classifier, rows: Fetched, accelerator: Accelerator, *, batch_size: int = 64) -> None:
    """Set every BatchNorm's statistics to the means over batches, in place.

    Each batch weighs the same. Results are equal on every process: all see all rows. A model without BatchNorm is
    unchanged.

    Args:
        model: the model.
        rows: the rows.
        accelerator: the accelerator of the run.
        batch_size: rows of a batch.
    """
    found = norms(model)
    if not found or len(rows) < 2:
        return
    momenta = [norm.momentum for norm in found]
    model.to(accelerator.device).eval()
    for norm in found:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # the mean of all batches since the reset
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()  # rows may lie by class
    for start in range(0, len(order), batch_size):
        picked = order[start : start + batch_size]
        if len(picked) == 1:
            continue  # one value of each channel has no variance
        batch = rows.fetch(picked).to(accelerator.device)
        model(batch.inputs, batch.present or None)
    for norm, momentum in zip(found, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
