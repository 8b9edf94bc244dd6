"""Read spectrograms by transformers' own feature extractors: AST, Whisper and CLAP."""

import copy
import json
import math
from typing import Any

import numpy as np

from hubtl.modalities.audio.spectrogram import SpectrogramReader

SMALLEST = 1e-10  # energy under Whisper's and CLAP's logarithms


class ASTReader(SpectrogramReader):
    """Read Kaldi's filter bank of 25 ms windows every 10 ms. It is normalised as for AudioSet.

    A sound of n samples has 1 + (n − 400) // 160 frames. Later frames are the extractor's padding.
    """

    def __init__(self, extractor: Any, frames: int) -> None:
        self.extractor = copy.deepcopy(extractor)
        self.extractor.max_length = self.frames = frames
        self.rate = int(extractor.sampling_rate)
        self.longest = (240 + 160 * frames) / self.rate
        self._mean = float(extractor.mean) if extractor.do_normalize else 0.0
        self._scale = 2 * float(extractor.std) if extractor.do_normalize else 1.0

    def padding(self, features: np.ndarray) -> float:
        return float(-self._mean / self._scale)

    def spectrum(self, sound: np.ndarray) -> tuple[np.ndarray, int]:
        sound = np.pad(sound, (0, max(0, 400 - len(sound))))
        made = self.extractor(sound, sampling_rate=self.rate, return_tensors="np")["input_values"][0]
        return made.astype(np.float32), min(self.frames, 1 + (len(sound) - 400) // 160)

    def features(self) -> dict[str, Any]:
        return declared(self.extractor)

    def energies(self, features: np.ndarray) -> np.ndarray:
        return np.exp(features.astype(np.float64) * self._scale + self._mean)

    def logarithms(self, energies: np.ndarray) -> np.ndarray:
        made = np.log(np.maximum(energies, np.finfo(np.float32).eps))
        scaled: np.ndarray = (made - self._mean) / self._scale
        return scaled.astype(np.float32)


class WhisperReader(SpectrogramReader):
    """Read Whisper's log-mel spectrogram of the sound's frames. It is at most 8 decades deep.

    Silence is as deep as the loudest place allows, so that the encoder's padding to 30 seconds equals the extractor's.
    """

    covers = 1.0  # the encoder pads every sound to its whole window

    def __init__(self, extractor: Any, seconds: float) -> None:
        self.extractor = extractor
        self.rate = int(extractor.sampling_rate)
        self.longest = seconds
        self._most = round(seconds * self.rate)
        self.frames = min(int(extractor.nb_max_frames), self._touched(self._most))

    def _touched(self, count: int) -> int:
        return math.ceil((count + int(self.extractor.n_fft) // 2) / int(self.extractor.hop_length))

    def padding(self, features: np.ndarray) -> float:
        return max((math.log10(SMALLEST) + 4) / 4, float(features.max()) - 2)

    def spectrum(self, sound: np.ndarray) -> tuple[np.ndarray, int]:
        sound = sound[: self._most]
        made = self.extractor(
            sound, sampling_rate=self.rate, max_length=self.frames * self.extractor.hop_length, return_tensors="np"
        )["input_features"][0]
        return made.T.astype(np.float32), min(self.frames, self._touched(len(sound)))

    def features(self) -> dict[str, Any]:
        return declared(self.extractor)

    def energies(self, features: np.ndarray) -> np.ndarray:
        return 10 ** (features.astype(np.float64) * 4 - 4)

    def logarithms(self, energies: np.ndarray) -> np.ndarray:
        made = np.log10(np.maximum(energies, SMALLEST))
        scaled: np.ndarray = (np.maximum(made, made.max() - 8) + 4) / 4
        return scaled.astype(np.float32)


class ClapReader(SpectrogramReader):
    """Read CLAP's log-mel spectrogram of the first ``seconds``; short sounds are repeated if declared.

    The extractor itself takes a random piece of a long sound, and calls one of a batch of short ones long at random.
    Here a sound is cut first, and gives the same features every time. Repeats count as sound.
    """

    def __init__(self, extractor: Any, seconds: float) -> None:
        self.extractor = extractor
        self.rate = int(extractor.sampling_rate)
        self.longest = seconds
        self._most = min(round(seconds * self.rate), int(extractor.nb_max_samples))
        self.frames = int(extractor.nb_max_samples) // int(extractor.hop_length) + 1

    def padding(self, features: np.ndarray) -> float:
        return 10 * math.log10(SMALLEST)

    def spectrum(self, sound: np.ndarray) -> tuple[np.ndarray, int]:
        sound = sound[: self._most]
        made = self.extractor(sound, sampling_rate=self.rate, return_tensors="np")["input_features"][0, 0]
        whole = int(self.extractor.nb_max_samples)
        heard = {"repeat": whole, "repeatpad": whole // len(sound) * len(sound)}.get(self.extractor.padding, len(sound))
        touched = math.ceil((heard + self.extractor.fft_window_size // 2) / self.extractor.hop_length)
        return made.astype(np.float32), min(self.frames, touched)

    def features(self) -> dict[str, Any]:
        return declared(self.extractor)

    def energies(self, features: np.ndarray) -> np.ndarray:
        return 10 ** (features.astype(np.float64) / 10)

    def logarithms(self, energies: np.ndarray) -> np.ndarray:
        made: np.ndarray = 10 * np.log10(np.maximum(energies, SMALLEST))
        return made.astype(np.float32)


def declared(extractor: Any) -> dict[str, Any]:
    """Return an extractor's settings in plain values, with its class."""
    known = json.loads(extractor.to_json_string())
    return {
        "transformers": type(extractor).__name__,
        **{k: v for k, v in known.items() if not isinstance(v, list | dict)},
    }
