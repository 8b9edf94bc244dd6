"""Mix the inputs of two rows, for any modality."""

from collections.abc import Mapping

import torch
from torch import Tensor

from hubtl.batch import Batch


def mixed(batch: Batch, partners: Tensor, share: float) -> Batch:
    """Return a batch's rows mixed with their partners' inputs. Partners are [b]; ``share`` is theirs.

    Numbers are mixed, ``x + share · (x' − x)``, under the mask of the row. Each token id is the partner's with that
    probability, and so is its mask. A row whose partner lacks a modality keeps its own.
    """
    inputs = dict(batch.inputs)
    for name, x in batch.inputs.items():
        if name.endswith(".mask"):
            continue
        other = x[partners]
        has = batch.present.get(name)
        able = torch.ones(len(x), dtype=torch.bool, device=x.device) if has is None else has[partners]
        able = able.reshape(-1, *(1,) * (x.dim() - 1))
        if x.is_floating_point():
            inputs[name] = torch.where(able, torch.lerp(x, other, share), x)
            continue
        swapped = able & (torch.rand(x.shape, device=x.device) < share)
        inputs[name] = torch.where(swapped, other, x)
        inputs |= _masks(batch.inputs, name, partners, swapped)
    return Batch(inputs, index=batch.index, present=batch.present)


def _masks(inputs: Mapping[str, Tensor], name: str, partners: Tensor, swapped: Tensor) -> dict[str, Tensor]:
    mask = inputs.get(f"{name}.mask")
    if mask is None:
        return {}
    own = torch.where(swapped, mask[partners], mask)
    return {f"{name}.mask": torch.where(own.any(dim=1, keepdim=True), own, mask)}
