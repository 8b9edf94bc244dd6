"""Fetch rows with the requested random views only."""

import inspect
from collections.abc import Collection, Sequence
from dataclasses import replace

from hubtl.batch import Batch
from hubtl.data.rows import Rows

VIEWS = ("weak", "strong")  # random views that a phase may ask for


def fetch(images: Rows, rows: Sequence[int], *, seed: int | None, views: Collection[str] | None = None) -> Batch:
    """Fetch rows with the requested random views of the set; None requests all.

    If a set's ``fetch`` takes no ``views``, it makes all that it has, and the others are dropped here.

    Args:
        images: the rows.
        rows: positions of the rows.
        seed: seed of the random views.
        views: the random views to make.
    """
    if views is None:
        return images.fetch(rows, seed=seed)
    if "views" in inspect.signature(images.fetch).parameters:
        batch = images.fetch(rows, seed=seed, views=views)
    else:
        batch = images.fetch(rows, seed=seed)
    return replace(batch, views={name: view for name, view in batch.views.items() if name in views})
