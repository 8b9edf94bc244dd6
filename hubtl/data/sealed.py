"""Seal the target: hide its labels and the order of its rows from training and selection.

A plugin is code with its user's rights, and Python cannot stop one that cheats. The seal keeps honest code from reading
labels by mistake.
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
    """Hold a set's rows without labels, in random order, as ``Rows``.

    Folders and tables are often sorted by class, so that a row's position reveals its label. ``index`` of a batch is
    the position in the random order, which is equal in every run of a seed.
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
        """Return the same rows in the evaluation view, in the same order."""
        return self if self.images.plain is self.images else self.replaced(lambda images: images.plain)

    def replaced(self, by: Callable[[Rows], Rows]) -> "SealedSet":
        """Return the same rows of a set that replaces this one.

        Their order stays; features, for example, replace images.
        """
        return SealedSet(by(self.images), self._seed)

    def fetch(self, rows: Sequence[int], *, seed: int | None = None, views: Collection[str] | None = None) -> Batch:
        """Fetch rows as a batch without labels; see ``Rows.fetch``.

        Args:
            rows: positions of the rows.
            seed: seed of the random views.
            views: the random views to make.
        """
        index = np.asarray(rows, dtype=np.int64)
        batch = fetch(self.images, self._order[index].tolist(), seed=seed, views=views)
        return replace(batch, labels=None, index=torch.from_numpy(index))


def sealed(images: Rows, seed: int) -> Rows:
    """Seal a stream: remove its labels, and shuffle its rows by the run's seed.

    Args:
        images: the rows.
        seed: the seed.
    """
    return SealedSet(images, seed)


class Seal:
    """Replace labels in the streams of a run; only ``unsealed`` knows them."""

    def __deepcopy__(self, memo: Any) -> "Seal":
        return self


_KEPT: "WeakKeyDictionary[Seal, np.ndarray]" = WeakKeyDictionary()


def kept(labels: np.ndarray | None) -> Seal | None:
    """Seal labels; None where there are none."""
    if labels is None:
        return None
    seal = Seal()
    _KEPT[seal] = labels
    return seal


def unsealed(seal: Seal | None) -> np.ndarray | None:
    """Return sealed labels, for judging a finished model. A declared oracle may see them, too."""
    return None if seal is None else _KEPT[seal]
