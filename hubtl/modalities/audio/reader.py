"""Share what readers of recordings have in common: their measure, and windows of long ones."""

from abc import abstractmethod
from typing import Any

import numpy as np

from hubtl.modalities.audio.sound import duration, samples
from hubtl.modalities.lengths import Lengths, starts
from hubtl.modalities.reader import Arrays, Reader
from hubtl.modalities.strengths import QUIETER, SoundViews

COVERED = 0.95  # of the recordings in one window: every spectrogram is as long as the window
LEAST, STEP = 0.3, 0.1  # seconds of a window that is chosen
BATCH = 640.0  # seconds
SLACK = 0.025  # seconds: less than one frame of a spectrogram more


class SoundReader(Reader):
    """Read recordings at one rate.

    Attributes:
        rate: samples a second; every cell is resampled to it.
        longest: seconds of a window.
        limit: seconds that the model takes; None: no more than now.
        strengths: of random views.
        covers: share of the recordings that one window should hold, where it is chosen.
    """

    modality = "audio"
    rate: int
    longest: float
    limit: float | None = None
    strengths = SoundViews()
    covers: float = COVERED

    @property
    def lengths(self) -> Lengths:
        limit = self.longest if self.limit is None else self.limit
        return Lengths(
            option="seconds",
            unit="seconds",
            read=self.longest,
            limit=limit,
            least=min(limit, LEAST),
            step=STEP,
            covers=self.covers,
            batch=BATCH,
            slack=SLACK,
        )

    def size(self, cell: Any) -> float:
        return duration(cell)

    def read(self, cell: Any) -> Arrays:
        return self.heard(samples(cell, self.rate, longest=self.longest))

    def windows(self, cell: Any, most: int) -> list[Arrays]:
        """Return windows of equal length, evenly over the recording."""
        sound = samples(cell, self.rate, longest=most * self.longest + SLACK)
        window = round(self.longest * self.rate)
        places = starts(len(sound), window, most, round(SLACK * self.rate))
        return [self.heard(sound[start : start + window] if len(places) > 1 else sound) for start in places]

    def gain(self, name: str, rng: np.random.Generator) -> float:
        """Draw a change of loudness in decibels, for a view."""
        most = self.strengths.strong_gain if name == "strong" else self.strengths.weak_gain
        return float(rng.uniform(-most, most))

    def decibels(self, rng: np.random.Generator) -> float:
        """Draw decibels of signal to noise, for a strong view with noise."""
        least = self.strengths.strong_noise
        return float(rng.uniform(least, least + QUIETER)) if least is not None else float("inf")

    @abstractmethod
    def heard(self, sound: np.ndarray) -> Arrays:
        """Return samples [n] of a window as arrays; what is too long is cut."""
