"""Read sound from a file, bytes or an array as mono samples. They have one rate."""

import contextlib
import io
import math
import os
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

MARGIN = 0.1  # seconds, that what is cut off does not ring in what is kept when it is resampled


def samples(cell: Any, rate: int, *, longest: float | None = None) -> np.ndarray:
    """Return the cell as mono float32 [n] in −1 to 1. It has ``rate`` samples a second.

    At most ``longest`` seconds and a little more are read. Accepted are files of soundfile's formats (WAV, FLAC, OGG,
    MP3, …), their bytes, ``{"bytes", "path"}``, ``{"array", "sampling_rate"}`` and ``(array, rate)``.

    Raises:
        ValueError: for undecodable data, for an array without its rate and for one without samples.
        OSError: for a file that cannot be opened.
    """
    array, own = _decoded(cell, None if longest is None else longest + MARGIN)
    mono = _mono(array)
    if longest is not None:
        mono = mono[: math.ceil((longest + MARGIN) * own)]
    if not np.isfinite(mono).all():
        raise ValueError("the sound holds values that are not finite")
    if mono.size == 0:
        raise ValueError("the sound has no samples")
    return resampled(mono, own, rate)


def heard(cell: Any) -> tuple[np.ndarray, int, int]:
    """Return the cell as mono samples [n] at its own rate.

    The rate and the number of channels come with them. Raises ValueError or OSError for one that cannot be read.
    """
    array, rate = _decoded(cell, None)
    mono = _mono(array)
    if mono.size == 0 or not np.isfinite(mono).all():
        raise ValueError("the sound has no samples" if mono.size == 0 else "the sound holds values that are not finite")
    return mono, rate, 1 if array.ndim == 1 else min(array.shape)


def noise(rate: int, seconds: float, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Make four recordings of noise, encoded as a dataset holds them."""
    found: list[dict[str, Any]] = []
    for sound in rng.integers(-3000, 3000, (4, max(1, round(rate * seconds))), dtype=np.int16):
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", "not compressed"))
            file.writeframes(sound.tobytes())
        found.append({"bytes": buffer.getvalue(), "path": None})
    return found


def duration(cell: Any) -> float:
    """Return the seconds of a cell, of a file by its header. Cells and errors are those of ``samples``."""
    if isinstance(cell, Mapping) and cell.get("array") is None and (cell.get("bytes") is not None or cell.get("path")):
        cell = cell["path"] if cell.get("bytes") is None else bytes(cell["bytes"])
    if isinstance(cell, str | os.PathLike | bytes | bytearray | memoryview):
        with _open(cell if isinstance(cell, str | os.PathLike) else bytes(cell)) as file:
            return float(file.frames / file.samplerate)
    array, rate = _decoded(cell, None)
    return max(np.shape(array), default=0) / rate


def resampled(mono: np.ndarray, own: int, rate: int) -> np.ndarray:
    """Resample samples [n] to another rate, by a polyphase filter."""
    if own == rate:
        return mono.astype(np.float32)
    from scipy.signal import resample_poly

    common = math.gcd(own, rate)
    return np.asarray(resample_poly(mono.astype(np.float64), rate // common, own // common), dtype=np.float32)


def _decoded(cell: Any, longest: float | None) -> tuple[np.ndarray, int]:
    if isinstance(cell, Mapping):
        if cell.get("array") is not None:
            return np.asarray(cell["array"]), _rate(cell.get("sampling_rate"))
        if cell.get("bytes") is None and not cell.get("path"):
            raise ValueError("the cell is empty")
        return _file(cell["path"] if cell.get("bytes") is None else bytes(cell["bytes"]), longest)
    if isinstance(cell, tuple) and len(cell) == 2:
        return np.asarray(cell[0]), _rate(cell[1])
    if isinstance(cell, str | os.PathLike | bytes | bytearray | memoryview):
        return _file(cell if isinstance(cell, str | os.PathLike) else bytes(cell), longest)
    if isinstance(cell, np.ndarray | list):
        raise ValueError("an array without its sampling rate: give (array, rate)")
    raise ValueError(f"a {type(cell).__name__} is no sound")


def _file(source: Any, longest: float | None) -> tuple[np.ndarray, int]:
    with _open(source) as file:
        count = -1 if longest is None else math.ceil(longest * file.samplerate)
        return file.read(count, dtype="float32"), int(file.samplerate)


@contextlib.contextmanager
def _open(source: Any) -> Iterator[Any]:
    import soundfile  # type: ignore[import-untyped]

    if not isinstance(source, bytes) and not (path := Path(source).expanduser()).is_file():
        raise FileNotFoundError(f"no file {path.name}")
    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(path)) as file:
            yield file
    except soundfile.SoundFileError as error:
        raise ValueError(f"not a sound that soundfile reads: {error}") from error


def _rate(value: Any) -> int:
    if value is None or isinstance(value, bool) or not float(value).is_integer() or value <= 0:
        raise ValueError(f"a sampling rate of {value}: give samples a second")
    return int(value)


def _mono(array: np.ndarray) -> np.ndarray:
    """Return [n], [n, channels] or [channels, n] as [n]; integers are scaled to −1 to 1."""
    if array.dtype.kind == "u":
        half = (np.iinfo(array.dtype).max + 1) / 2
        array = (array.astype(np.float64) - half) / half
    elif array.dtype.kind == "i":
        array = array / -float(np.iinfo(array.dtype).min)
    elif array.dtype.kind != "f":
        raise ValueError(f"an array of {array.dtype} is no sound")
    if array.ndim == 2:
        array = array.mean(axis=int(np.argmin(array.shape)))
    if array.ndim != 1:
        raise ValueError(f"an array of shape {array.shape} is no sound")
    return array
