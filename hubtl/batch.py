"""Define the data of a run: a stream's mini-batch, and a backbone's features of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

Inputs = Mapping[str, Tensor]  # modality -> tensor; "image": [b, c, h, w]
OF_TARGET = -1  # the domain of a target row whose label training may read


@dataclass(frozen=True)
class Batch:
    """Hold one stream's mini-batch of ``b`` rows."""

    inputs: Inputs
    labels: Tensor | None = None  # [b], of a dense task [b · sites]; None where the stream is sealed
    index: Tensor | None = None  # [b], positions in the dataset
    present: Mapping[str, Tensor] = field(default_factory=dict)  # modality -> [b] bool; a missing key: all present
    views: Mapping[str, Inputs] = field(default_factory=dict)  # "weak", "strong"
    domain: Tensor | None = None  # [b], which of several sources; OF_TARGET: a labelled target row; None: one source

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def view(self, name: str) -> "Batch":
        """Return the same rows under another augmentation.

        Raises:
            KeyError: for an unknown view; the message lists the views of this stream.
        """
        if name not in self.views:
            raise KeyError(f"this stream has no view {name!r}; it has: {', '.join(self.views) or 'none'}")
        return replace(self, inputs=self.views[name])

    def weak(self) -> "Batch":
        """Return the rows' weak views where the stream has them. Otherwise the rows are unchanged."""
        return self.view("weak") if "weak" in self.views else self

    def sealed(self) -> "Batch":
        """Return the same rows without their labels."""
        return replace(self, labels=None)

    def to(self, device: torch.device | str) -> "Batch":
        """Return the same rows on a device."""

        def move(tensors: Inputs) -> Inputs:
            return {k: v.to(device, non_blocking=True) for k, v in tensors.items()}

        return Batch(
            inputs=move(self.inputs),
            labels=None if self.labels is None else self.labels.to(device, non_blocking=True),
            index=None if self.index is None else self.index.to(device, non_blocking=True),
            present=move(self.present),
            views={name: move(view) for name, view in self.views.items()},
            domain=None if self.domain is None else self.domain.to(device, non_blocking=True),
        )

    def select(self, rows: Tensor) -> "Batch":
        """Return some rows, by a mask [b] or by positions."""

        def some(tensors: Inputs) -> Inputs:
            return {k: v[rows] for k, v in tensors.items()}

        labels = self.labels
        if labels is not None and len(labels) > len(self):  # of sites
            labels = labels.unflatten(0, (len(self), -1))[rows].flatten(0, 1)
        elif labels is not None:
            labels = labels[rows]
        return Batch(
            inputs=some(self.inputs),
            labels=labels,
            index=None if self.index is None else self.index[rows],
            present=some(self.present),
            views={name: some(view) for name, view in self.views.items()},
            domain=None if self.domain is None else self.domain[rows],
        )


def join(*batches: Batch) -> Batch:
    """Join several batches into one, for a forward with shared batch statistics.

    Labels stay with each stream.
    """
    first = batches[0]
    inputs = {k: torch.cat([b.inputs[k] for b in batches]) for k in first.inputs}
    present = {k: torch.cat([b.present[k] for b in batches]) for k in first.present}
    return Batch(inputs=inputs, present=present)


class Features(NamedTuple):
    """Hold what a backbone returns.

    It is a NamedTuple, because accelerate casts the tensors of one back to float32.
    """

    pooled: Tensor  # [b, d]: what the model's last linear layer sees; of a dense task [b · sites, d], a site a row
    maps: tuple[Tensor, ...] = ()  # [b, d, h, w], coarse to fine
    tokens: Tensor | None = None  # [b, n, d]
    parts: dict[str, Tensor] | None = None  # pooled features per modality
    sites: int = 1  # rows of ``pooled`` for each input

    def rows(self, start: int, stop: int) -> "Features":
        """Return the features of some of the batch's inputs. All their sites come with them.

        Args:
            start: the first input.
            stop: the input after the last.
        """
        return Features(
            self.pooled[start * self.sites : stop * self.sites],
            tuple(m[start:stop] for m in self.maps),
            None if self.tokens is None else self.tokens[start:stop],
            None if self.parts is None else {k: v[start:stop] for k, v in self.parts.items()},
            self.sites,
        )
