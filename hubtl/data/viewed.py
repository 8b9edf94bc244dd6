"""Rows with the random views that somebody asks for, and no others."""

import inspect
from collections.abc import Collection, Sequence
from dataclasses import replace

from hubtl.batch import Batch
from hubtl.data.rows import Rows


def fetch(images: Rows, rows: Sequence[int], *, seed: int | None, views: Collection[str] | None = None) -> Batch:
    """Fetch rows with those of the set's random views that are asked for; None: with all of them.

    A set whose ``fetch`` takes no ``views`` makes all that it has, and the others are dropped here.
    """
    if views is None:
        return images.fetch(rows, seed=seed)
    if "views" in inspect.signature(images.fetch).parameters:
        batch = images.fetch(rows, seed=seed, views=views)
    else:
        batch = images.fetch(rows, seed=seed)
    return replace(batch, views={name: view for name, view in batch.views.items() if name in views})
