"""Stream endless, shuffled, sharded and resumable mini-batches of several domains.

The content of the i-th mini-batch depends only on the seed and i. Therefore a resumed run continues by starting at its
step, any number of loader processes gives the same batches, and ``w`` processes of batch ``b`` see the rows that one
process of batch ``w · b`` sees.
"""

import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from hubtl.batch import Batch
from hubtl.data.rows import Rows
from hubtl.data.viewed import fetch
from hubtl.errors import HubtlError


class Shuffle:
    """Iterate over ``n`` rows in shuffled passes. Each pass has its own order; rows may be named."""

    def __init__(self, n: int, seed: int, stream: str, among: np.ndarray | None = None) -> None:
        self._among = among
        self.n = n if among is None else len(among)
        self._key = [seed, zlib.crc32(stream.encode())]
        self._pass = -1
        self._order = np.empty(0, dtype=np.int64)

    def rows(self, start: int, stop: int) -> list[int]:
        """Return the rows at positions ``start`` to ``stop`` of the endless sequence."""
        found: list[int] = []
        while start < stop:
            number, offset = divmod(start, self.n)
            take = min(stop - start, self.n - offset)
            found += self._in_pass(number)[offset : offset + take].tolist()
            start += take
        return found

    def _in_pass(self, number: int) -> np.ndarray:
        if number != self._pass:
            order = np.random.default_rng([*self._key, number]).permutation(self.n)
            self._order = order if self._among is None else self._among[order]
            self._pass = number
        return self._order


class StepBatches(Dataset[dict[str, Batch]]):
    """Hold this process's mini-batches at micro-step ``i``, as item ``i``. Each stream has one."""

    def __init__(
        self,
        streams: Mapping[str, Rows],
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        views: Mapping[str, Collection[str]] | None = None,  # to make of each stream; None: all that it has
    ) -> None:
        self.streams = dict(streams)
        self.batch_size = batch_size
        self.seed = seed
        self.rank, self.world, self.views = rank, world, views
        self._orders = {name: self._shuffles(name, images) for name, images in self.streams.items()}

    def __getitem__(self, i: int) -> dict[str, Batch]:
        batch = {}
        for name, images in self.streams.items():
            rows: list[int] = []
            for order, share in self._orders[name]:
                start = (i * self.world + self.rank) * share
                rows += order.rows(start, start + share)
            seed = hash((self.seed, zlib.crc32(name.encode()), i)) & 0x7FFFFFFF
            views = None if self.views is None else self.views.get(name, ())
            batch[name] = fetch(images, rows, seed=seed, views=views)
        return batch

    def _shuffles(self, name: str, images: Rows) -> "list[tuple[Shuffle, int]]":
        """Return each domain's shuffle and its share of a batch. Shares are equal for all sizes."""
        domains = getattr(images, "domains", None)  # a set of rows of one domain need not say so
        if domains is None:
            return [(Shuffle(len(images), self.seed, name), self.batch_size)]
        kinds = np.unique(domains)
        if len(kinds) > self.batch_size:
            raise HubtlError(
                f"a batch of {self.batch_size} has no room for rows of {len(kinds)} domains",
                hint=f"--batch-size {len(kinds)} or more",
            )
        share, more = divmod(self.batch_size, len(kinds))
        orders = [Shuffle(len(images), self.seed, f"{name}/{kind}", np.flatnonzero(domains == kind)) for kind in kinds]
        return [(order, share + (place < more)) for place, order in enumerate(orders)]


def load(batches: StepBatches, start: int, stop: int, *, num_workers: int | None) -> Iterator[dict[str, Batch]]:
    """Yield micro-steps ``start`` to ``stop`` in order. Loader processes read them where decoding needs it.

    Args:
        batches: the batches.
        start: the first micro-step.
        stop: the micro-step after the last.
        num_workers: the number of loader processes; None decides.
    """
    if num_workers is None:
        cached = all(images.cached and not images.augment for images in batches.streams.values())
        num_workers = 0 if cached else 1
    if num_workers == 0:
        return (batches[i] for i in range(start, stop))
    own = torch.Generator().manual_seed(batches.seed)  # or each loader would draw from the numbers of dropout
    options: dict[str, Any] = {"num_workers": num_workers, "prefetch_factor": 4, "generator": own}
    return _unwrapped(DataLoader(Careful(batches), batch_size=None, sampler=range(start, stop), **options))


@dataclass(frozen=True)
class Refused:
    """Report an error of a loader process. That process's traceback is not in its message."""

    message: str
    hint: str | None


class Careful(Dataset["dict[str, Batch] | Refused"]):
    """Hold mini-batches, or the reason why one cannot be read."""

    def __init__(self, batches: StepBatches) -> None:
        self.batches = batches

    def __getitem__(self, i: int) -> dict[str, Batch] | Refused:
        try:
            return self.batches[i]
        except HubtlError as error:
            return Refused(str(error), error.hint)


def _unwrapped(loader: "DataLoader[dict[str, Batch] | Refused]") -> Iterator[dict[str, Batch]]:
    for item in loader:
        if isinstance(item, Refused):
            raise HubtlError(item.message, hint=item.hint)
        yield item


def steps_per_epoch(streams: Mapping[str, Rows], rows_per_update: int) -> int:
    """Return the updates in one pass over the largest stream."""
    return max(1, -(-max(len(images) for images in streams.values()) // rows_per_update))
