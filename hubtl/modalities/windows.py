"""Read long cells as several windows, and pool their features."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hubtl.modalities.lengths import Lengths
from hubtl.modalities.reader import Arrays, Reader


class WindowsReader(Reader):
    """Read cells as windows of another reader: its arrays [...] become [windows, ...].

    A cell that one window holds fills the first one alone. Random views change each window by itself.

    Args:
        reader: reads one window.
        count: windows of a row; what is longer is cut.
    """

    def __init__(self, reader: Reader, count: int) -> None:
        self.reader, self.count = reader, count
        self.modality, self.files = reader.modality, reader.files  # type: ignore[misc]

    @property
    def lengths(self) -> Lengths | None:
        return self.reader.lengths

    @property
    def window(self) -> Reader:
        return self.reader

    def preparation(self) -> dict[str, Any]:
        return self.reader.preparation() | {"windows": self.count, "windows_outputs": "mean"}

    def size(self, cell: Any) -> float:
        return self.reader.size(cell)

    def missing(self, cell: Any) -> bool:
        return self.reader.missing(cell)

    def read(self, cell: Any) -> Arrays:
        return self._filled(self.reader.windows(cell, self.count))

    def empty(self) -> Arrays:
        return self._filled([])

    def view(self, arrays: Mapping[str, np.ndarray], name: str, rng: np.random.Generator) -> Arrays:
        return self._filled([self.reader.view(one, name, rng) for one in self._there(arrays)])

    def corrupt(self, arrays: Mapping[str, np.ndarray], severity: int, rng: np.random.Generator) -> Arrays:
        return self._filled([self.reader.corrupt(one, severity, rng) for one in self._there(arrays)])

    def tensors(self, stacked: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        flat = {key: array.reshape(-1, *array.shape[2:]) for key, array in stacked.items()}
        return {key: value.unflatten(0, (-1, self.count)) for key, value in self.reader.tensors(flat).items()}

    def _there(self, arrays: Mapping[str, np.ndarray]) -> list[Arrays]:
        used = arrays[f"{self.modality}.mask"].any(axis=-1)
        return [{key: array[place] for key, array in arrays.items()} for place in np.flatnonzero(used)]

    def _filled(self, windows: list[Arrays]) -> Arrays:
        blank = self.reader.empty()
        rows = [*windows, *[blank] * (self.count - len(windows))]
        return {key: np.stack([row[key] for row in rows]) for key in blank}


def pooled(
    run: Callable[[Mapping[str, Tensor]], Tensor], inputs: Mapping[str, Tensor], key: str, most: int | None
) -> Tensor:
    """Return the mean [b, d] over the windows of each row.

    Inputs of one window a row [b, …] are given to ``run`` as they are; of several, [b, w, …], those that hold something,
    as one batch.

    Args:
        run: maps inputs [n, …] to features [n, d].
        inputs: the inputs of rows.
        key: the modality's, whose mask says which windows hold something.
        most: windows of a row to draw, by torch's random numbers; None: all.
    """
    mask = inputs.get(f"{key}.mask")
    if mask is None or mask.ndim == 2:  # without one they are a graph's own inputs, of one window
        return run(inputs)
    used = mask.any(dim=-1)
    used[:, 0] = True
    if most is not None and most < used.shape[1]:
        drawn = torch.rand(used.shape, device=used.device).masked_fill(~used, -1.0).topk(most, dim=1).indices
        used = torch.zeros_like(used).scatter(1, drawn, True) & used
    rows, places = used.nonzero(as_tuple=True)
    own = {name: value[rows, places] for name, value in inputs.items() if name in (key, f"{key}.mask")}
    made = run(own)
    total = made.new_zeros(len(mask), made.shape[1]).index_add(0, rows, made)
    return total / used.sum(dim=1, keepdim=True)
