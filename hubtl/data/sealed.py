"""What training and selection must not learn by mistake: in which order the target's rows lay, and their labels.

A plugin is code with its user's rights, and nothing in Python stops one that is out to cheat. This keeps honest code
from reading labels without noticing.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from hubtl.batch import Batch
from hubtl.data.rows import Rows
from hubtl.data.viewed import fetch

SEALING = 32_452_843  # added to the seed: no other draw of a run has these numbers


class SealedSet:
    """The rows of a set without labels, in a drawn order, as ``Rows``.

    Folders and tables are often sorted by class, and a row's position then is its label. ``index`` of a batch is the
    position in the drawn order, which is the same in every run of a seed.
    """

    labels = None

    def __init__(self, images: Rows, seed: int) -> None:
        self.images, self._seed = images, seed
        self._order = np.random.default_rng([SEALING, seed]).permutation(len(images))
        self.domains = None if images.domains is None else images.domains[self._order]
        self.name, self.bad = images.name, images.bad

    def __len__(self) -> int:
        return len(self._order)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "images":  # while it is unpickled there is nothing to ask yet
            raise AttributeError(name)
        return getattr(self.images, name)

    @property
    def plain(self) -> "SealedSet":
        """The same rows in the evaluation view, in the same order."""
        return self if self.images.plain is self.images else self.replaced(lambda images: images.plain)

    def replaced(self, by: Callable[[Rows], Rows]) -> "SealedSet":
        """The same rows in the same order, of a set that stands for this one, such as its features."""
        return SealedSet(by(self.images), self._seed)

    def fetch(self, rows: Sequence[int], *, seed: int | None = None, views: Collection[str] | None = None) -> Batch:
        """The rows as a batch without labels; see ``Rows.fetch``."""
        index = np.asarray(rows, dtype=np.int64)
        batch = fetch(self.images, self._order[index].tolist(), seed=seed, views=views)
        return replace(batch, labels=None, index=torch.from_numpy(index))


def sealed(images: Rows, seed: int) -> Rows:
    """Seal a stream: its labels are gone, and its rows lie in an order drawn from the run's seed."""
    return SealedSet(images, seed)


class Seal:
    """Stands for labels in the streams of a run. What they are is known to ``unsealed`` alone."""

    def __deepcopy__(self, memo: Any) -> "Seal":
        return self


_KEPT: "WeakKeyDictionary[Seal, np.ndarray]" = WeakKeyDictionary()


def kept(labels: np.ndarray | None) -> Seal | None:
    """Put labels behind a seal; None where there are none."""
    if labels is None:
        return None
    seal = Seal()
    _KEPT[seal] = labels
    return seal


def unsealed(seal: Seal | None) -> np.ndarray | None:
    """The labels behind a seal, for who judges a finished model, or is an oracle and says so."""
    return None if seal is None else _KEPT[seal]
