"""Measure a text: its words and characters, and a sketch of which words it has."""

import re
import zlib
from typing import Any

import numpy as np

from hubtl.modalities.base import Examined, Unreadable

BINS = 512  # of the sketch; words fall into them by their checksum


def examined(cell: Any) -> Examined:
    """Measure a text. Raises Unreadable for an empty cell and for another value."""
    if not isinstance(cell, str) or not cell.strip():
        raise Unreadable("the cell is empty" if cell is None or isinstance(cell, str) else "it is no text")
    words = re.findall(r"\w+", cell.lower())
    counts = np.zeros(BINS, np.float32)
    for word in words:
        counts[zlib.crc32(word.encode()) % BINS] += 1
    return Examined({"words": len(cell.split()), "characters": len(cell)}, np.sqrt(counts / max(1, len(words))))
