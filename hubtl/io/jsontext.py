"""Write JSON that any program reads: no NaN, no lone surrogates."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubtl.io import files

HALVES = re.compile("[\ud800-\udfff]")  # of names that are not UTF-8: no file of text holds them


def measured(value: Any) -> Any:
    """Replace NaN and infinite numbers by None. JSON has no word for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: measured(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [measured(v) for v in value]
    return value


def whole(text: str) -> str:
    r"""Write lone surrogates in a text as ``\udcff``. It is JSON's spelling too."""
    return HALVES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def text(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """Return a value as JSON text."""
    return whole(json.dumps(measured(value), indent=indent, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False))


def save(path: Path, value: Any, *, indent: int | None = 2, sort_keys: bool = False) -> None:
    """Write a value to a JSON file atomically."""
    files.write(path, text(value, indent=indent, sort_keys=sort_keys) + "\n")
