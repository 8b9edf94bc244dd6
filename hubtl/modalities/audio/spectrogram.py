"""Read spectrograms: frames of energies in mel bands, their shifts, masks and noise."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hubtl.modalities.audio.reader import SoundReader
from hubtl.modalities.reader import Arrays, known_severity, known_view
from hubtl.modalities.strengths import SoundViews

SIGNAL_TO_NOISE = (20.0, 15.0, 10.0, 5.0, 0.0)  # decibels, severities 1 to 5


class SpectrogramReader(SoundReader):
    """Read ``audio``: float32 [frames, mels], and ``audio.mask``: bool [frames], True for sound.

    Noise is added to the energies, not to their logarithms: as much to each band as white noise has in it.

    Attributes:
        frames: rows of the spectrogram.
    """

    frames: int

    @abstractmethod
    def padding(self, features: np.ndarray) -> float:
        """Return the value of padding frames."""

    @abstractmethod
    def spectrum(self, sound: np.ndarray) -> tuple[np.ndarray, int]:
        """Return samples [n] as features, and the number of sound frames. Features are [at most frames, mels]."""

    @abstractmethod
    def energies(self, features: np.ndarray) -> np.ndarray:
        """Return features [t, mels] as energies, 0 and more."""

    @abstractmethod
    def logarithms(self, energies: np.ndarray) -> np.ndarray:
        """Return energies as features."""

    def heard(self, sound: np.ndarray) -> Arrays:
        return self._padded(*self.spectrum(sound))

    def _padded(self, features: np.ndarray, length: int) -> Arrays:
        """Set frames from ``length`` on to the floor. So padding reveals nothing."""
        length = max(1, min(length, self.frames))
        row = np.full((self.frames, features.shape[1]), self.padding(features[:length]), np.float32)
        row[: min(length, len(features))] = features[:length]
        return {"audio": row, "audio.mask": np.arange(self.frames) < length}

    def empty(self) -> Arrays:
        shape = self.frames, len(self._white)
        return {"audio": np.zeros(shape, np.float32), "audio.mask": np.zeros(self.frames, bool)}

    def preparation(self) -> dict[str, Any]:
        return {
            "sampling_rate": self.rate,
            "channels": "their mean",
            "seconds": self.longest,
            "range": [-1.0, 1.0],
            "frames_of_sound": self.frames,
            "features": self.features(),
        }

    def features(self) -> dict[str, Any]:
        """Return how frames are made of samples, in plain values."""
        return {"reader": type(self).__qualname__}

    def view(self, arrays: Mapping[str, np.ndarray], name: str, rng: np.random.Generator) -> Arrays:
        """Shift in time and change the loudness; a strong view adds quiet noise and SpecAugment's masks."""
        strong = known_view(name)
        features, length = arrays["audio"], int(arrays["audio.mask"].sum())
        if length == 0:
            return dict(arrays)
        most = int(self.strengths.shift * length)
        shift = min(int(rng.integers(-most, most + 1)), self.frames - length)
        energies = self.energies(features[:length])[max(0, -shift) :] * 10 ** (self.gain(name, rng) / 10)
        if strong:
            energies = energies + self._noise(energies, self.decibels(rng), rng)
        sound = self.logarithms(np.concatenate([np.zeros((max(0, shift), energies.shape[1])), energies]))
        return self._padded(_masked(sound, self.strengths, rng) if strong else sound, len(sound))

    def corrupt(self, arrays: Mapping[str, np.ndarray], severity: int, rng: np.random.Generator) -> Arrays:
        """Add white noise 20 to 0 decibels below the sound. The five severities are 20, 15, 10, 5 and 0 decibels."""
        level = SIGNAL_TO_NOISE[known_severity(severity)]
        length = int(arrays["audio.mask"].sum())
        if length == 0:
            return dict(arrays)
        energies = self.energies(arrays["audio"][:length])
        return self._padded(self.logarithms(energies + self._noise(energies, level, rng)), length)

    def _noise(self, energies: np.ndarray, decibels: float, rng: np.random.Generator) -> np.ndarray:
        """Return energies [t, mels] of white noise below the sound's mean power. ``decibels`` says how far.

        A band's energies relative to those of white noise give the sound's power density, independent of filters,
        pre-emphasis or magnitudes instead of powers; bands are about as wide as on the mel scale.
        """
        edges = np.expm1(np.linspace(0.0, np.log1p(self.rate / 1400), len(self._white) + 1))
        hears = self._white > 1e-6 * self._white.max()  # a narrow band at the bottom may hold no bin at all
        power = np.average((energies[:, hears] / self._white[hears]).mean(axis=0), weights=np.diff(edges)[hears])
        scale = power * 10 ** (-decibels / 10)
        drawn: np.ndarray = scale * self._white * rng.gamma(4.0, 1 / 4.0, size=energies.shape)  # a band sums a few bins
        return drawn

    @cached_property
    def _white(self) -> np.ndarray:
        """Return mean energies [mels] of white noise in these features."""
        noise = np.random.default_rng(0).standard_normal(self.rate // 2).astype(np.float32) / 4
        features, length = self.spectrum(noise)
        mean: np.ndarray = self.energies(features[:length]).mean(axis=0)
        return mean

    def tensors(self, stacked: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return {
            "audio": torch.from_numpy(np.asarray(stacked["audio"], dtype=np.float32)),
            "audio.mask": torch.from_numpy(np.asarray(stacked["audio.mask"], dtype=bool)),
        }


def _masked(sound: np.ndarray, how: SoundViews, rng: np.random.Generator) -> np.ndarray:
    """Set bands of frequencies and of time to the mean, two each.

    As SpecAugment does (arXiv:1904.08779).
    """
    sound, (length, mels) = sound.copy(), sound.shape
    mean = sound.mean()
    for _ in range(2):
        wide = int(rng.integers(int(how.band_masks * mels) + 1))
        start = int(rng.integers(mels - wide + 1))
        sound[:, start : start + wide] = mean
        long = int(rng.integers(int(how.time_masks * length) + 1))
        start = int(rng.integers(length - long + 1))
        sound[start : start + long] = mean
    return sound


WINDOW, HOP, BINS = 0.025, 0.010, 512  # seconds, seconds, points of the Fourier transform
LOWEST, HIGHEST = 125.0, 7500.0  # Hz
OFFSET = 0.001


class LogMelReader(SpectrogramReader):
    """Read YAMNet's log-mel spectrogram, for small picture models.

    16 kHz, 25 ms periodic Hann windows every 10 ms, magnitudes of a Fourier transform of 512 points in 64 HTK mel bands
    from 125 to 7500 Hz, log(mel + 0.001). A sound of n samples fills ceil(n / 160) frames.

    Args:
        frames: rows of the spectrogram.
        mels: bands.
        mean: subtracted in ``tensors``.
        std: then divided by.
    """

    rate = 16000

    def __init__(self, frames: int, mels: int = 64, *, mean: float = 0.0, std: float = 1.0) -> None:
        from transformers.audio_utils import mel_filter_bank, window_function

        self.frames, self.mels, self.mean, self.std = frames, mels, mean, std
        self.floor = float(np.log(OFFSET))
        self.longest = WINDOW + frames * HOP
        self._size, self._hop = round(WINDOW * self.rate), round(HOP * self.rate)
        self._filters = mel_filter_bank(BINS // 2 + 1, mels, LOWEST, HIGHEST, self.rate, mel_scale="htk")
        self._window = window_function(self._size, "hann", periodic=True)

    def padding(self, features: np.ndarray) -> float:
        return self.floor

    def spectrum(self, sound: np.ndarray) -> tuple[np.ndarray, int]:
        filled = min(self.frames, -(-len(sound) // self._hop))
        wanted = (filled - 1) * self._hop + self._size
        padded = np.pad(sound[:wanted], (0, max(0, wanted - len(sound))))
        windows = np.lib.stride_tricks.sliding_window_view(padded, self._size)[:: self._hop]
        magnitudes = np.abs(np.fft.rfft(windows * self._window, n=BINS, axis=1))
        return np.log(magnitudes @ self._filters + OFFSET).astype(np.float32), filled

    def features(self) -> dict[str, Any]:
        return {
            "window": self._size,
            "window_shape": "periodic Hann",
            "hop": self._hop,
            "fourier_points": BINS,
            "mels": self.mels,
            "mel_scale": "htk",
            "lowest": LOWEST,
            "highest": HIGHEST,
            "values": f"log(magnitude + {OFFSET:g})",
            "padding": self.floor,
            "mean": self.mean,
            "std": self.std,
        }

    def energies(self, features: np.ndarray) -> np.ndarray:
        return np.maximum(np.exp(features.astype(np.float64)) - OFFSET, 0.0) ** 2

    def logarithms(self, energies: np.ndarray) -> np.ndarray:
        made: np.ndarray = np.log(np.sqrt(energies) + OFFSET)
        return made.astype(np.float32)

    def tensors(self, stacked: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        made = super().tensors(stacked)
        return {**made, "audio": (made["audio"] - self.mean) / self.std}


def frames_in(seconds: float) -> int:
    """Return the whole windows in a duration."""
    return max(1, 1 + int(round((seconds - WINDOW) / HOP, 6)))
