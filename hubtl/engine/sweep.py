"""Run a model that does not learn over a stream. Its outputs are in dataset order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator

from hubtl.data.rows import Fetched
from hubtl.errors import HubtlError
from hubtl.modules import Classifier, by_input
from hubtl.tasks import Task

DENSE = 16  # rows of a batch of a dense model
SITES = 1024  # of a dense model, in all rows together, whose features are kept


@dataclass(frozen=True)
class Outputs:
    """Hold a model's outputs on a stream, in dataset order."""

    features: torch.Tensor  # [n, d] pooled; of a dense model [n, places, d] at some of its sites
    logits: torch.Tensor  # [n, c]; of a dense model [n, sites, c]
    places: torch.Tensor | None = None  # [places], the sites that the features are of

    def flat(self) -> "Outputs":
        """Return features and logits of the same single sites, [n · places, …]."""
        if self.places is None:
            return self
        return Outputs(self.features.flatten(0, 1), self.logits[:, self.places].flatten(0, 1))

    def labelled(self, labels: np.ndarray, task: Task) -> np.ndarray:
        """Return the labels of the rows of ``flat``."""
        if self.places is None:
            return labels
        return task.at_sites(labels, self.logits.shape[1])[:, self.places.numpy()].reshape(-1)


def places_of(sites: int, rows: int) -> torch.Tensor:
    """Return some sites of a grid: the same in every sweep, and fewer of many rows."""
    most = min(sites, max(4, SITES // max(1, rows)))
    return torch.randperm(sites, generator=torch.Generator().manual_seed(0))[:most].sort().values


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
    if getattr(model.encoder.backbone, "side", None) is not None:
        batch_size = min(batch_size, DENSE)  # fine maps of more images are moved in and out of memory
    rank, world = accelerator.process_index, accelerator.num_processes
    share = -(-len(rows) // world)
    mine = [rows[min(i, len(rows) - 1)] for i in range(rank * share, (rank + 1) * share)]
    was_training = {module: module.training for module in model.modules()}
    model.to(accelerator.device).eval()
    features: list[torch.Tensor] = []
    logits: list[torch.Tensor] = []
    places: torch.Tensor | None = None
    for start in range(0, len(mine), batch_size):
        batch = images.fetch(mine[start : start + batch_size]).to(accelerator.device)
        with accelerator.autocast():
            z = model.encoder(batch.inputs, batch.present or None)
            y = model.head(z.pooled)
        z_rows, y = by_input(z.pooled, z.sites), by_input(y, z.sites)
        if z.sites > 1:
            places = places_of(z.sites, len(rows)) if places is None else places
            z_rows = z_rows[:, places.to(z_rows.device)]
        features.append(z_rows.float())
        logits.append(y.float())
    for module, mode in was_training.items():
        module.training = mode
    gathered = [accelerator.gather(torch.cat(parts)) if world > 1 else torch.cat(parts) for parts in (features, logits)]
    kept, answers = (t[: len(rows)].cpu() for t in gathered)
    return Outputs(kept, answers, places)


def finite(seen: Outputs, what: str) -> Outputs:
    """Return the outputs if their logits are finite.

    Args:
        seen: the outputs.
        what: what they are outputs of, for the error.

    Raises:
        HubtlError: for logits that are not finite, since they are no predictions.
    """
    if bad := int((~torch.isfinite(seen.logits)).flatten(1).any(dim=1).sum()):
        raise HubtlError(
            f"the model's logits are not finite for {bad} of {len(seen.logits)} rows of {what}",
            hint="a lower --lr, --set optim.clip_norm=1, or no --mixed-precision; of a saved model, train it again",
        )
    return seen
