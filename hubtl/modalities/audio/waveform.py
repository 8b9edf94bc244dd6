"""Read raw samples, for encoders of the waveform."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hubtl.modalities.audio.reader import SoundReader
from hubtl.modalities.audio.spectrogram import SIGNAL_TO_NOISE
from hubtl.modalities.reader import Arrays, known_severity, known_view


class WaveformReader(SoundReader):
    """Read ``audio``: float32 [count] in −1 to 1, and ``audio.mask``: bool [count], True for sound.

    Args:
        rate: samples a second; every cell is resampled to it.
        count: samples of a row; longer sounds are cut, shorter ones padded with zeros.
        normalise: ``tensors`` gives each row's sound zero mean and unit variance, as the model's extractor does.
    """

    def __init__(self, rate: int, count: int, *, normalise: bool) -> None:
        self.rate, self.count, self.normalise = rate, count, normalise
        self.longest = count / rate

    def heard(self, sound: np.ndarray) -> Arrays:
        return self._padded(sound)

    def _padded(self, sound: np.ndarray) -> Arrays:
        row, sound = np.zeros(self.count, np.float32), sound[: self.count]
        row[: len(sound)] = sound
        return {"audio": row, "audio.mask": np.arange(self.count) < len(sound)}

    def empty(self) -> Arrays:
        return self._padded(np.zeros(0, np.float32))

    def preparation(self) -> dict[str, Any]:
        return {
            "sampling_rate": self.rate,
            "channels": "their mean",
            "seconds": self.count / self.rate,
            "samples": self.count,
            "range": [-1.0, 1.0],
            **(
                {"normalise": "zero mean and unit variance of the row's own samples, variance + 1e-7"}
                if self.normalise
                else {}
            ),
            "padding": 0.0,
        }

    def view(self, arrays: Mapping[str, np.ndarray], name: str, rng: np.random.Generator) -> Arrays:
        """Shift in time and change the loudness; a strong view adds quiet noise and two silent stretches."""
        strong = known_view(name)
        sound = arrays["audio"][arrays["audio.mask"]]
        if len(sound) == 0:
            return dict(arrays)
        most = int(self.strengths.shift * len(sound))
        shift = min(int(rng.integers(-most, most + 1)), self.count - len(sound))
        sound = sound[max(0, -shift) :] * 10 ** (self.gain(name, rng) / 20)
        if strong:
            sound = sound + _noise(sound, self.decibels(rng), rng)
            for _ in range(2):
                long = int(rng.integers(int(self.strengths.time_masks * len(sound)) + 1))
                start = int(rng.integers(len(sound) - long + 1))
                sound[start : start + long] = 0.0
        return self._padded(np.concatenate([np.zeros(max(0, shift)), sound]))

    def corrupt(self, arrays: Mapping[str, np.ndarray], severity: int, rng: np.random.Generator) -> Arrays:
        """Add white noise 20 to 0 decibels below the sound. The five severities are 20, 15, 10, 5 and 0 decibels."""
        level = SIGNAL_TO_NOISE[known_severity(severity)]
        sound = arrays["audio"][arrays["audio.mask"]]
        return self._padded(sound + _noise(sound, level, rng)) if len(sound) else dict(arrays)

    def tensors(self, stacked: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        sound = torch.from_numpy(np.asarray(stacked["audio"], dtype=np.float32))
        mask = torch.from_numpy(np.asarray(stacked["audio.mask"], dtype=bool))
        if self.normalise:
            count = mask.sum(dim=1, keepdim=True).clamp(min=1)
            mean = sound.sum(dim=1, keepdim=True) / count
            centred = (sound - mean).masked_fill(~mask, 0.0)
            sound = centred / (centred.square().sum(dim=1, keepdim=True) / count + 1e-7).sqrt()
        return {"audio": sound, "audio.mask": mask}


def _noise(sound: np.ndarray, decibels: float, rng: np.random.Generator) -> np.ndarray:
    """Return white noise [n], that far below the sound."""
    power = float(np.square(sound, dtype=np.float64).mean()) * 10 ** (-decibels / 10)
    return math.sqrt(power) * rng.standard_normal(len(sound))
