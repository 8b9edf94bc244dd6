"""The modality: which column holds signals, and how one is shown and explained."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hubtl.modalities.base import Cover, Modality

PARTS = 8  # of a signal, that an explanation takes away


class Sensor(Modality):
    """Signals of a fixed length."""

    name = "sensor"
    noun, plural, says = "signal", "signals", "signal shows"
    example = "[0.0] * 64"
    covers = True

    def column(self, dataset: Any, asked: str | None, where: str) -> str:
        from hubtl.data.columns import existing, only

        if asked is not None:
            return existing(dataset, asked, self.name, where, flag="--column sensor=")
        lists = [name for name, feature in dataset.features.items() if type(feature).__name__ in ("List", "Sequence")]
        return only(lists, ("sensor", "signal"), self.name, dataset, where)

    def is_cell(self, value: Any) -> bool:
        return np.ndim(value) == 1 and np.asarray(value).dtype.kind in "fiu"

    def takes(self, spec: Mapping[str, Any]) -> str | None:
        return f"a signal of {spec['length']} values"

    def samples(self, spec: Any, rng: np.random.Generator) -> list[list[float]]:
        length = 64 if spec is None else spec.length
        return rng.standard_normal((4, length)).astype(np.float32).tolist()

    def html(self, cell: Any) -> str | None:
        points = " ".join(f"{place},{10 - 5 * float(value):.1f}" for place, value in enumerate(cell))
        return (
            f'<svg viewBox="0 0 {len(cell)} 20"><polyline fill="none" stroke="currentColor" points="{points}"/></svg>'
        )

    def cover(self, backbone: Any, row: Any) -> Cover:
        return Covered(self.intake(backbone).batch([row])["sensor"])


class Covered:
    """A signal [1, n] whose stretches may be set to their mean. Two neighbours go at a time."""

    name = "sensor"
    times = 2

    def __init__(self, signal: Any) -> None:
        import torch

        self.signal = signal
        self.layout = {"kind": "instants", "parts": PARTS}
        self.windows = torch.zeros(PARTS + 1, PARTS, dtype=torch.bool)
        for number in range(PARTS + 1):
            self.windows[number, max(0, number - 1) : number + 1] = True

    def without(self, gone: Any) -> Iterable[Mapping[str, Any]]:
        import torch

        mask = gone.repeat_interleave(self.signal.shape[1] // PARTS, dim=1)
        yield {"sensor": torch.where(mask, self.signal.mean(), self.signal)}

    def draw(self, plain: Any, mapped: Any, relevance: np.ndarray, theme: Any) -> Any:
        signal = self.signal[0].numpy()
        for axis in (plain, mapped):
            axis.plot(signal, color=theme.ink)
        extent = (0, len(signal), float(signal.min()), float(signal.max()))
        return mapped.imshow(relevance[None], extent=extent, aspect="auto", cmap="RdBu_r", alpha=0.55)
