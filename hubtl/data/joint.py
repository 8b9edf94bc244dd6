"""Join a labelled source and labelled target rows into one stream. The target rows are few."""

from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch

from hubtl.batch import Batch
from hubtl.data.rows import Rows
from hubtl.data.viewed import fetch


class JointSet:
    """Join the rows of several sets, one after another, as ``Rows``.

    ``domains`` tells the domain of each row: mini-batches hold equally many rows of each.
    """

    def __init__(self, parts: Sequence[Rows], domains: Sequence[int]) -> None:
        self.parts, self._numbers = list(parts), list(domains)
        self._ends = np.cumsum([len(part) for part in self.parts])
        known = [part.labels for part in self.parts]
        self.labels = (
            None if any(own is None for own in known) else np.concatenate([own for own in known if own is not None])
        )
        self.domains = np.concatenate(
            [
                np.full(len(part), number) if part.domains is None else part.domains
                for part, number in zip(self.parts, domains, strict=True)
            ]
        )
        self.name = " + ".join(part.name for part in self.parts)
        self.note = next((part.note for part in self.parts if part.note), None)
        self.bad = [name for part in self.parts for name in part.bad]
        self.augment = any(part.augment for part in self.parts)
        self.cached = all(part.cached for part in self.parts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def plain(self) -> Rows:
        """Return the same rows in the evaluation view."""
        return self if all(p.plain is p for p in self.parts) else self.replaced(lambda part: part.plain)

    def replaced(self, by: Callable[[Rows], Rows]) -> "JointSet":
        """Return the same rows, of sets that replace these."""
        return JointSet([by(part) for part in self.parts], self._numbers)

    def check(self) -> None:
        """Read every row now.

        Raises:
            HubtlError: for an unreadable row.
        """
        for part in self.parts:
            part.check()

    def fetch(self, rows: Sequence[int], *, seed: int | None = None, views: Collection[str] | None = None) -> Batch:
        """Fetch rows as a batch, in the given order; see ``Rows.fetch``.

        Args:
            rows: positions of the rows.
            seed: seed of the random views.
            views: the random views to make.
        """
        index = np.asarray(rows, dtype=np.int64)
        home = np.searchsorted(self._ends, index, side="right")
        places, fetched = [], []
        for number, part in enumerate(self.parts):
            mine = np.flatnonzero(home == number)
            if len(mine):
                start = int(self._ends[number]) - len(part)
                own = None if seed is None else seed + number
                fetched.append(fetch(part, (index[mine] - start).tolist(), seed=own, views=views))
                places.append(mine)
        order = torch.from_numpy(np.argsort(np.concatenate(places), kind="stable"))
        inputs = {key: torch.cat([batch.inputs[key] for batch in fetched])[order] for key in fetched[0].inputs}
        made = {
            name: {key: torch.cat([batch.views[name][key] for batch in fetched])[order] for key in view}
            for name, view in fetched[0].views.items()
            if all(name in batch.views for batch in fetched)
        }
        present = {key: torch.cat([batch.present[key] for batch in fetched])[order] for key in fetched[0].present}
        labels = None if self.labels is None else torch.from_numpy(self.labels[index])
        return Batch(inputs, labels, torch.from_numpy(index), present, made, torch.from_numpy(self.domains[index]))
