"""Cells to tensors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hubtl.modalities.reader import Arrays, Reader


class SensorReader(Reader):
    """``sensor``: float32 [length]."""

    modality = "sensor"
    files = False

    def __init__(self, length: int) -> None:
        self.length = length

    def read(self, cell: Any) -> Arrays:
        try:
            signal = np.asarray(cell, dtype=np.float32)
        except TypeError as error:
            raise ValueError(str(error)) from error
        if signal.shape != (self.length,) or not np.isfinite(signal).all():
            raise ValueError(f"no signal of {self.length} finite values")
        return {"sensor": signal}

    def empty(self) -> Arrays:
        return {"sensor": np.zeros(self.length, np.float32)}

    def view(self, arrays: Mapping[str, np.ndarray], name: str, rng: np.random.Generator) -> Arrays:
        noise = 0.3 if name == "strong" else 0.05
        return {"sensor": (arrays["sensor"] + noise * rng.standard_normal(self.length)).astype(np.float32)}

    def corrupt(self, arrays: Mapping[str, np.ndarray], severity: int, rng: np.random.Generator) -> Arrays:
        return {"sensor": (arrays["sensor"] + 0.2 * severity * rng.standard_normal(self.length)).astype(np.float32)}

    def tensors(self, stacked: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return {"sensor": torch.from_numpy(np.asarray(stacked["sensor"], dtype=np.float32))}
