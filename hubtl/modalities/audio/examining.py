"""Measure a recording: its length and rate, and a sketch of its spectrum."""

from typing import Any

import numpy as np
from PIL import Image

from hubtl.modalities.audio.sound import heard
from hubtl.modalities.base import Examined

WINDOW = 1024  # samples of a spectrum
BANDS = 32  # of frequency, equally wide in octaves, from 50 Hz to 8 kHz
INK = (31, 111, 235)


def examined(cell: Any) -> Examined:
    """Measure an encoded recording. Raises ValueError for one that is damaged."""
    sound, rate, channels = heard(cell)
    sizes = {"seconds": len(sound) / rate, "rate": rate, "channels": channels}
    return Examined(sizes, sketch(sound, rate))


def sketch(sound: np.ndarray, rate: int) -> np.ndarray:
    """Return mean and spread of the log energy in each band [64]."""
    padded = np.pad(sound, (0, -len(sound) % WINDOW))
    power = np.abs(np.fft.rfft(padded.reshape(-1, WINDOW) * np.hanning(WINDOW), axis=1)) ** 2
    place = np.fft.rfftfreq(WINDOW, 1 / rate)
    edges = np.geomspace(50, 8000, BANDS + 1)
    band = np.clip(np.searchsorted(edges, place) - 1, -1, BANDS - 1)
    energy = np.stack([power[:, band == number].sum(1) for number in range(BANDS)], axis=1)
    logs = np.log(energy + 1e-8)
    return np.concatenate([logs.mean(0), logs.std(0)]).astype(np.float32)


def tile(cell: Any, side: int) -> Image.Image:
    """Draw the loudness over time."""
    sound, _, _ = heard(cell)
    columns = [float(np.abs(part).max()) if len(part) else 0.0 for part in np.array_split(sound, side)]
    loudest = max(*columns, 1e-6)
    pixels = np.full((side, side, 3), 255, np.uint8)
    for x, value in enumerate(columns):
        half = max(1, round(value / loudest * side / 2))
        pixels[side // 2 - half : side // 2 + half, x] = INK
    return Image.fromarray(pixels)
