"""Make datasets of files and of encoded bytes. The readings of classic data sets do."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features
from datasets.table import InMemoryTable

from hubtl.plugins import modalities


def first_medium() -> Any:
    """Return the modality whose files lead rows: images."""
    return modalities.media()[0]


def of_files(paths: Sequence[str]) -> pa.StructArray:
    """Return cells that name files."""
    cells = pa.array(paths, pa.string())
    return pa.StructArray.from_arrays([pa.nulls(len(cells), pa.binary()), cells], ["bytes", "path"])


def of_bytes(contents: Sequence[bytes]) -> pa.StructArray:
    """Return cells that hold encoded files."""
    cells = pa.array(contents, pa.binary())
    return pa.StructArray.from_arrays([cells, pa.nulls(len(cells), pa.string())], ["bytes", "path"])


def dataset(columns: Mapping[str, pa.Array], features: Mapping[str, Any], facts: Any) -> Dataset:
    """Make a dataset of columns. ``facts``, as JSON, determine its fingerprint."""
    mark = hashlib.blake2b(json.dumps(facts, default=str).encode(), digest_size=8).hexdigest()
    info = DatasetInfo(features=Features(features))
    return Dataset(InMemoryTable(pa.table(dict(columns))), info=info, fingerprint=mark)
