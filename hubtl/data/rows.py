"""Define a stream's rows. Training, judging and the feature cache use them."""

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np

from hubtl.batch import Batch


class Fetched(Protocol):
    """Fetch rows that a model can be run on."""

    def __len__(self) -> int: ...

    def fetch(self, rows: Sequence[int]) -> Batch:
        """Fetch rows as a batch, in the given order."""


class Rows(Protocol):
    """Hold rows of one split under one view; they are fetched in batches.

    Images, texts, recordings and multimodal data are such rows, and so are features of a frozen backbone, sealed rows,
    and two sets one after another.

    Attributes:
        name: for messages.
        labels: [n, …] in the task's own type; None: the set is sealed, and nothing in it reveals a label.
        domains: [n] which of several sources a row belongs to; None for one source.
        bad: names of unreadable rows that were left out.
        note: the plan's note on how they are read.
        augment: whether ``fetch`` with a seed crops and flips at random.
        cached: whether rows are kept in memory, so that reading them again costs nothing.
        plain: the same rows in the evaluation view.
    """

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> np.ndarray | None: ...
    @property
    def domains(self) -> np.ndarray | None: ...
    @property
    def bad(self) -> list[str]: ...
    @property
    def note(self) -> str | None: ...
    @property
    def augment(self) -> bool: ...
    @property
    def cached(self) -> bool: ...
    @property
    def plain(self) -> "Rows": ...

    def __len__(self) -> int: ...

    def fetch(self, rows: Sequence[int], *, seed: int | None = None, views: Collection[str] | None = None) -> Batch:
        """Fetch rows as a batch, in the given order. ``index`` are the rows.

        Random views depend only on ``seed``, the row and its position in ``rows``; without a seed there are none.

        Args:
            rows: positions of the rows.
            seed: seed of the random views.
            views: the random views to make; None makes all of the set.

        Raises:
            HubtlError: for an unreadable row.
        """

    def check(self) -> None:
        """Read every row now.

        Raises:
            HubtlError: for an unreadable row.
        """


class Opened(Rows, Protocol):
    """Hold rows that are read from a dataset: ``ImageSet``, or those of ``Backbone.rows``.

    Attributes:
        fingerprint: a digest of these rows in this order, by their content.
    """

    labels: np.ndarray | None
    cached: bool
    plain: Rows

    @property
    def fingerprint(self) -> str: ...
