"""Run a model that does not learn over a stream. Its outputs are in dataset order."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator

from hubtl.data.rows import Fetched
from hubtl.errors import HubtlError
from hubtl.modules import Classifier


@dataclass(frozen=True)
class Outputs:
    """Hold a model's outputs on a stream, in dataset order."""

    features: torch.Tensor  # [n, d] pooled
    logits: torch.Tensor  # [n, c]


@torch.no_grad()
def outputs(
    model: Classifier,
    images: Fetched,
    accelerator: Accelerator,
    *,
    batch_size: int = 64,
    rows: Sequence[int] | None = None,
) -> Outputs:
    """Run a model over a stream, shared by all ranks; every rank gets all outputs on the CPU.

    The model keeps its mode.

    Args:
        model: the model.
        images: the rows of the stream.
        accelerator: the accelerator of the run.
        batch_size: rows of a batch.
        rows: positions of the rows to read; None reads all.
    """
    rows = range(len(images)) if rows is None else rows
    rank, world = accelerator.process_index, accelerator.num_processes
    share = -(-len(rows) // world)
    mine = [rows[min(i, len(rows) - 1)] for i in range(rank * share, (rank + 1) * share)]
    was_training = {module: module.training for module in model.modules()}
    model.to(accelerator.device).eval()
    features, logits = [], []
    for start in range(0, len(mine), batch_size):
        batch = images.fetch(mine[start : start + batch_size]).to(accelerator.device)
        with accelerator.autocast():
            z = model.encoder(batch.inputs, batch.present or None)
            y = model.head(z.pooled)
        features.append(z.pooled.float())
        logits.append(y.float())
    for module, mode in was_training.items():
        module.training = mode
    gathered = [accelerator.gather(torch.cat(parts)) if world > 1 else torch.cat(parts) for parts in (features, logits)]
    return Outputs(*(t[: len(rows)].cpu() for t in gathered))


def finite(seen: Outputs, what: str) -> Outputs:
    """Return the outputs if their logits are finite.

    Args:
        seen: the outputs.
        what: what they are outputs of, for the error.

    Raises:
        HubtlError: for logits that are not finite, since they are no predictions.
    """
    if bad := int((~torch.isfinite(seen.logits)).any(dim=1).sum()):
        raise HubtlError(
            f"the model's logits are not finite for {bad} of {len(seen.logits)} rows of {what}",
            hint="a lower --lr, --set optim.clip_norm=1, or no --mixed-precision; of a saved model, train it again",
        )
    return seen
