"""JSON that any program reads: what could not be measured is null, and halves of characters are written out."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubtl.io import files

HALVES = re.compile("[\ud800-\udfff]")  # of names that are not UTF-8: no file of text holds them


def measured(value: Any) -> Any:
    """Plain values with None in place of a number that is NaN or infinite, for which JSON has no word."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: measured(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [measured(v) for v in value]
    return value


def whole(text: str) -> str:
    """Text without halves of characters: they are written out, as ``\\udcff``, which is what JSON calls them too."""
    return HALVES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def text(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """Write a value as JSON."""
    return whole(json.dumps(measured(value), indent=indent, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False))


def save(path: Path, value: Any, *, indent: int | None = 2, sort_keys: bool = False) -> None:
    """Write a value to a file, which appears whole or not at all."""
    files.write(path, text(value, indent=indent, sort_keys=sort_keys) + "\n")
