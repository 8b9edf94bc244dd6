"""Read classic data sets as they are unpacked.

``whole`` reads VOCdevkit and MNIST's idx files. ``listed``, ``imagenet`` and ``domains`` add lists of files, names of
WordNet ids and domains to plain folders.
"""

from pathlib import Path

from datasets import DatasetDict

from hubtl.data.cells import Wanted
from hubtl.data.classic import idx, voc, voclabels


def whole(path: Path, wanted: Wanted) -> DatasetDict | None:
    """Read a folder in a layout of its own; None for a plain one."""
    found = idx.read(path)
    return voclabels.read(path, wanted) if found is None else found


def is_whole(path: Path) -> bool:
    """Return whether a folder has a layout of its own."""
    return idx.holds(path) or bool(voc.years(path))
