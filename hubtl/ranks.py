"""Gather rows from the other processes of a run; in one process it costs nothing."""

import torch
import torch.distributed
from torch import Tensor


@torch.no_grad()
def all_rows(rows: Tensor) -> Tensor:
    """Gather the rows of every process in rank order, without gradient. [b, …] becomes [w · b, …].

    It serves memories with a place for each row of a data set: each process sees other rows, and all must remember the
    same. Every process must call it, with the same shape.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    found = [
        torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(torch.distributed.get_world_size())
    ]
    torch.distributed.all_gather(found, rows.contiguous())
    return torch.cat(found)
