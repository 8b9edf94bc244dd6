"""Tell tables and files of a modality by their suffixes: one list for all commands."""

import os
from functools import cache
from typing import Any

from hubtl.plugins import modalities

TABLES = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".json": "json"}
TABLE, OTHER = "table", "other"


def kind_of(name: str) -> str:
    """Return a modality, ``table`` or ``other``, by a name's suffix. Capitals do not matter."""
    return _kinds(tuple(modalities.every())).get(os.path.splitext(name)[1].lower(), OTHER)


def is_medium(name: str) -> bool:
    """Return whether a file holds a modality's cell, by its suffix."""
    return kind_of(name) not in (TABLE, OTHER)


@cache
def _kinds(known: tuple[Any, ...]) -> dict[str, str]:
    found: dict[str, str] = dict.fromkeys(TABLES, TABLE)
    for modality in known:
        found |= {suffix: modality.name for suffix in modality.suffixes if suffix not in found}
    return found
