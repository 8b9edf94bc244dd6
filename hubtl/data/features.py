"""Stream features of frozen backbones, and digest the weights that made them."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from hubtl.batch import Batch


class FeatureSet:
    """Hold pooled features [n, d] of a stream's rows, as ``Rows``."""

    augment = False
    cached = True
    note: str | None = None

    def __init__(
        self,
        features: np.ndarray,
        labels: np.ndarray | None,
        name: str,
        bad: Sequence[str] = (),
        domains: np.ndarray | None = None,
    ) -> None:
        self._features, self.labels, self.name, self.bad, self.domains = features, labels, name, list(bad), domains
        self.plain = self

    def __len__(self) -> int:
        return len(self._features)

    def check(self) -> None:
        """Check nothing, since the features are in memory."""

    def fetch(self, rows: Sequence[int], *, seed: int | None = None, views: Collection[str] | None = None) -> Batch:
        """Fetch rows as a batch: ``features`` is float32 [b, d], without random views.

        Args:
            rows: positions of the rows.
            seed: unused.
            views: unused.
        """
        index = np.asarray(rows, dtype=np.int64)
        labels = None if self.labels is None else torch.from_numpy(self.labels[index])
        domain = None if self.domains is None else torch.from_numpy(self.domains[index])
        features = torch.from_numpy(self._features[index])
        return Batch({"features": features}, labels, torch.from_numpy(index), domain=domain)


def structure_digest(network: nn.Module) -> str:
    """Return a digest of the network's structure beyond weights. A norm's epsilon or a stride is part of it."""
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(network))  # where a function lies in memory differs between runs
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def weights_digest(state: Mapping[str, torch.Tensor]) -> str:
    """Return a digest of every weight and buffer, by name."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
