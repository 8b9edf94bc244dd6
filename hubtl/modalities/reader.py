"""Define the contract of a reader: one cell of a table in, arrays of fixed shapes out."""

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from hubtl.modalities.lengths import Lengths

Arrays = dict[str, np.ndarray]


class Reader(ABC):
    """Turn cells of one modality into the tensors of its encoder.

    ``read`` decodes once and returns compact arrays, which a dataset may keep in memory; ``view`` and ``corrupt``
    change such arrays at random; ``tensors`` converts a stack of them for the encoder. Readers hold no open files and
    can be pickled. Cells of any length have ``lengths``, ``size`` and ``windows`` too.
    """

    modality: ClassVar[str]
    files: ClassVar[bool] = True  # a cell that is a string is a path
    strengths: Any = None  # of random views, where they are options of the model

    @property
    def lengths(self) -> Lengths | None:
        """Return how cells are measured and cut; None: they have no length."""
        return None

    @property
    def window(self) -> "Reader":
        """Return the reader of one window; that of whole cells is its own."""
        return self

    def size(self, cell: Any) -> float:
        """Return how much a cell holds, in the unit of ``lengths``, uncut. Raises as ``read`` does."""
        raise NotImplementedError(f"{type(self).__name__} measures nothing")

    def described(self, windows: int) -> dict[str, Any]:
        """Describe several windows, for the model's input in record and configuration."""
        return {"windows": windows}

    def windows(self, cell: Any, most: int) -> list[Arrays]:
        """Return a cell as windows, each as ``read`` returns one; the first alone where it holds all."""
        return [self.read(cell)]

    @abstractmethod
    def read(self, cell: Any) -> Arrays:
        """Return the cell as arrays, every cell of the same shapes.

        Raises:
            ValueError: for an unreadable cell.
            OSError: for an unreadable file.
        """

    def ranged(self, ranges: Any) -> "Reader":
        """Return the same reader, told what all rows are scaled by (``Modality.ranges``)."""
        return self

    @abstractmethod
    def empty(self) -> Arrays:
        """Return the arrays of a missing cell: zeros of the shapes of ``read``, masks all False."""

    def noise(self, rng: np.random.Generator, share: float = 1.0) -> Arrays:
        """Return made-up arrays of the shapes of ``read``.

        A model is tried with them.

        Args:
            rng: draws the noise.
            share: the share of the row for which masks are True, its first place at least.
        """
        made = self.empty()
        for name, array in made.items():
            if array.dtype == bool:
                made[name] = np.broadcast_to(
                    np.arange(array.shape[-1]) < max(1, round(share * array.shape[-1])), array.shape
                )
            elif array.dtype == np.uint8:
                made[name] = rng.integers(0, 256, array.shape, dtype=np.uint8)
            elif np.issubdtype(array.dtype, np.floating):
                made[name] = rng.standard_normal(array.shape).astype(array.dtype)
        return made

    def preparation(self) -> dict[str, Any]:
        """Return how cells are read, in plain values for other programs."""
        return {"reader": f"{type(self).__module__}.{type(self).__qualname__}"}

    @abstractmethod
    def view(self, arrays: Mapping[str, np.ndarray], name: str, rng: np.random.Generator) -> Arrays:
        """Return a random variant of arrays.

        Args:
            arrays: what ``read`` returned.
            name: ``weak`` or ``strong``.
            rng: draws the variant.
        """

    @abstractmethod
    def corrupt(self, arrays: Mapping[str, np.ndarray], severity: int, rng: np.random.Generator) -> Arrays:
        """Corrupt arrays from a little to badly.

        Args:
            arrays: what ``read`` returned.
            severity: 1 to 5.
            rng: draws the corruption.
        """

    @abstractmethod
    def tensors(self, stacked: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """Convert stacks [b, …] of arrays to the encoder's inputs: normalised, float32, int64 or bool."""

    def missing(self, cell: Any) -> bool:
        """Return whether a cell is empty: None, NaN, blank text, no bytes and no path, a missing file."""
        if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
            return True
        if isinstance(cell, float | np.floating):
            return math.isnan(float(cell))
        if isinstance(cell, str):
            # an address is no file: it is not missing, and reading it says that it is not read
            return not cell.strip() or (self.files and "://" not in cell and not _exists(cell))
        if isinstance(cell, os.PathLike):
            return self.files and not _exists(cell)
        if isinstance(cell, bytes | bytearray | memoryview):
            return len(cell) == 0
        if isinstance(cell, Mapping):
            if cell.get("array") is not None:
                return np.size(cell["array"]) == 0
            return self.missing(cell.get("bytes")) and self.missing(cell.get("path"))
        return False


def _exists(path: str | os.PathLike[str]) -> bool:
    return os.path.exists(os.path.expanduser(path))  # False, and no error, for what cannot be a path


def known_view(name: str) -> bool:
    """Return whether a view is the strong one.

    Raises:
        KeyError: for an unknown name.
    """
    if name not in ("weak", "strong"):
        raise KeyError(f"there is no view {name!r}; there are: weak, strong")
    return name == "strong"


def known_severity(severity: int) -> int:
    """Return the position of a severity in a table of five.

    Raises:
        ValueError: outside 1 to 5.
    """
    if not 1 <= severity <= 5:
        raise ValueError(f"a severity is 1 to 5, not {severity}")
    return severity - 1
