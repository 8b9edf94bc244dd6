"""Which column holds the recordings, and which value is one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Audio, Dataset, Value

from hubtl.data.columns import existing, first_cells, is_string, of_files, only, usual
from hubtl.modalities.audio.files import NAMES, SOUNDS


def column(dataset: Dataset, asked: str | None, where: str) -> str:
    """Return the column with recordings. Raises HubtlError where there is none, or more than one."""
    if asked is not None:
        return of_files(dataset, existing(dataset, asked, "audio", where, flag="--column audio="), "audio", where)
    found = [name for name, feature in dataset.features.items() if isinstance(feature, Audio)]
    if not found:
        found = [name for name in usual(dataset.features, NAMES) if _holds_sounds(dataset, name)]
    return only(found, NAMES, "audio", dataset, where)


def is_cell(value: Any) -> bool:
    """Return whether a value is one recording: a file, its bytes, an array with its rate, or an encoded cell."""
    if isinstance(value, Mapping):
        return bool({"array", "bytes", "path"} & set(value))
    return isinstance(value, str | Path | bytes) or (
        isinstance(value, tuple) and len(value) == 2 and np.ndim(value[0]) > 0
    )


def _holds_sounds(dataset: Dataset, name: str) -> bool:
    """Return whether cells hold encoded recordings, or with names of sound files."""
    feature = dataset.features[name]
    if isinstance(feature, dict):
        return "bytes" in feature
    if isinstance(feature, Value) and feature.dtype in ("binary", "large_binary"):
        return True
    return is_string(feature) and any(Path(cell).suffix.lower() in SOUNDS for cell in first_cells(dataset, name))
