"""Recognise images, recordings and tables by suffix: one list for training and predicting."""

import os

from PIL import Image, features

# programs, videos, mere stubs, and what unpacks or opens what is in it without a bound
UNREAD = frozenset({"EPS", "PDF", "WMF", "MPEG", "FLI", "BUFR", "GRIB", "HDF5", "FITS", "IPTC"})
NEEDED = {"AVIF": "avif", "WEBP": "webp", "JPEG2000": "jpg_2000"}  # formats that a Pillow may be built without
TABLES = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".json": "json"}
SOUNDS = frozenset({".wav", ".flac", ".ogg", ".oga", ".mp3", ".aiff", ".aif", ".au"})


def _formats() -> tuple[str, ...]:
    Image.init()
    lacking = {name for name, feature in NEEDED.items() if not features.check(feature)}
    named = set(Image.registered_extensions().values())
    return tuple(sorted((set(Image.OPEN) & named) - UNREAD - lacking))


FORMATS = _formats()  # what may be opened, as ``Image.open(formats=…)`` takes it
IMAGES = frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in (*FORMATS, "MPO"))


KIND_OF = {s: kind for kind, known in (("table", TABLES), ("audio", SOUNDS), ("image", IMAGES)) for s in known}


def kind_of(name: str) -> str:
    """Return ``image``, ``audio``, ``table`` or ``other``, by the suffix in any case."""
    return KIND_OF.get(os.path.splitext(name)[1].lower(), "other")
