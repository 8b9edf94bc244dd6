"""The rows of a stream: what training, judging and the cache of features ask of them, whatever they hold."""

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np

from hubtl.batch import Batch


class Fetched(Protocol):
    """Rows that a model can be run over."""

    def __len__(self) -> int: ...

    def fetch(self, rows: Sequence[int]) -> Batch:
        """Fetch rows as a batch, in the order asked for."""


class Rows(Protocol):
    """Rows of one split under one view; they are fetched many at a time.

    Images, texts, recordings and several modalities together are such rows, and so are features of a frozen backbone,
    sealed rows, and two sets one after another.

    Attributes:
        name: for messages.
        labels: [n, …] in the task's own type; None: the set is sealed, and nothing in it tells a label.
        domains: [n] which of several sources a row is of; None where there is one.
        bad: names of the rows that could not be read and were left out.
        note: what the plan says of how they are read.
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
        """Fetch rows as a batch in the order asked for, with ``index`` the rows.

        Random views depend on ``seed``, the row and its place in ``rows`` alone; without a seed there are none. Of the
        set's views those in ``views`` are made; None: all. Raises HubtlError for a row that is unreadable.
        """

    def check(self) -> None:
        """Read every row now. Raises HubtlError for one that is unreadable."""


class Opened(Rows, Protocol):
    """Rows that are read from a dataset: ``ImageSet``, or what a backbone makes (``Backbone.rows``).

    Attributes:
        fingerprint: tells these rows in this order from any others, by their content.
    """

    labels: np.ndarray | None
    cached: bool
    plain: Rows

    @property
    def fingerprint(self) -> str: ...
