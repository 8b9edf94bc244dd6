"""Read Parquet files that number their classes differently. Each file has its own names."""

import json
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Features, List, Value, concatenate_datasets

from hubtl.data.names import listed
from hubtl.data.values import is_list, item_of, labelled, named_columns
from hubtl.errors import HubtlError
from hubtl.io.shown import plural
from hubtl.settings import logger

Named = dict[str, tuple[str, ...]]  # column -> the names that its numbers have, in order


def read(groups: Sequence[Sequence[Path]], built: Callable[[Sequence[Path]], Dataset]) -> list[Dataset]:
    """Read groups of files, each as one dataset.

    A library reads all files by the names of the first. A file without names takes those that the others share.

    Args:
        groups: files of each dataset.
        built: makes a dataset of files with equal numbering.

    Raises:
        HubtlError: for a label that is none of its file's, and where the others have different names.
    """
    paths = [path for group in groups for path in group]
    names = {path: numbered_names(path) for path in paths}
    agreed: Named = {}
    for column in dict.fromkeys(column for found in names.values() for column in found):
        orders = {found[column] for found in names.values() if column in found}
        lacking = [path.name for path in paths if column not in names[path] and _numbered(path, column)]
        if len(orders) > 1 and lacking:
            raise HubtlError(
                f"the files number the names of column {column!r} differently, and {lacking[0]} does not name its own",
                hint="write every file with the names of its labels (a feature of the type that datasets has for them)",
            )
        if lacking:
            logger.info("%s: the numbers in column %r are read by the other files' names", listed(lacking), column)
        if len(orders) > 1 or lacking:
            agreed[column] = next(iter(orders))
    found = []
    for group in groups:
        runs = [list(run) for _, run in groupby(group, key=lambda path: sorted(names[path].items()))]
        parts = alike([built(run) for run in runs], [run[0].name for run in runs], agreed)
        found.append(concatenate_datasets(parts) if len(parts) > 1 else parts[0])
    return found


def alike(parts: Sequence[Dataset], files: Sequence[str] = (), agreed: Named | None = None) -> list[Dataset]:
    """Return a split's parts with one order of names. It holds for each label column.

    Numbers without names take the shared ones.
    """
    found = list(parts)
    files = files or ["a table"] * len(found)
    usual = {column: names for part in found for column, names in named_columns(part.features).items()}
    for column, names in (usual | (agreed or {})).items():
        features = [part.features.get(column) for part in found]
        if not all(map(_counts, features)) or len({is_list(feature) for feature in features}) > 1:
            continue
        own = [tuple(getattr(item_of(feature), "names", names)) for feature in features]
        typed = all(column in named_columns(part.features) for part in found)
        if len(set(own)) == 1 and typed:
            continue
        union = list(dict.fromkeys(name for names in own for name in names))
        found = [_renumbered(*of, column, union) for of in zip(found, files, own, strict=True)]
    return _of_one_kind(found)


def _of_one_kind(parts: Sequence[Dataset]) -> list[Dataset]:
    """Return the parts with one number type in each column.

    A column of integers becomes decimal if it is so in another part.
    """
    kinds = [{n: f.dtype for n, f in part.features.items() if isinstance(f, Value)} for part in parts]
    found = list(parts)
    for column in dict.fromkeys(name for kind in kinds for name in kind):
        met = {kind.get(column, "none") for kind in kinds}
        if any(dtype.startswith("float") for dtype in met) and all("int" in dtype or "float" in dtype for dtype in met):
            found = [part.cast_column(column, Value("float64")) for part in found] if len(met) > 1 else found
    return found


def numbered_names(path: Path) -> Named:
    """Return the names in a Parquet file's label columns. ``datasets`` keeps them in its metadata."""
    try:
        kept = (pq.read_schema(path).metadata or {}).get(b"huggingface")
        features = Features.from_dict(json.loads(kept)["info"]["features"]) if kept else {}
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, RecursionError):
        return {}  # whatever is wrong with it is said when it is read
    return named_columns(features)


def _numbered(path: Path, column: str) -> bool:
    schema = pq.read_schema(path)
    kind = schema.field(column).type if column in schema.names else pa.null()
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(pa.types.is_integer(kind.value_type if lists else kind))


def _counts(feature: Any) -> bool:
    item = item_of(feature)
    return hasattr(item, "names") or "int" in str(getattr(item, "dtype", ""))


def _renumbered(dataset: Dataset, file: str, own: Sequence[str], column: str, names: list[str]) -> Dataset:
    place = {name: i for i, name in enumerate(names)}

    def renumbered(value: Any, row: int) -> int | None:
        if value is not None and not (isinstance(value, int) and -1 <= value < len(own)):
            raise HubtlError(
                f"{file}, column {column!r}, row {row}: label {value!r} is out of range; it has {plural(len(own), 'name')}",
                hint="mend that row, or --label-column for another column",
            )
        return value if value is None or value < 0 else place[own[value]]

    made: list[Any] = [
        [renumbered(value, row) for value in cell] if isinstance(cell, list) else renumbered(cell, row)
        for row, cell in enumerate(dataset.with_format(None)[column][:])
    ]
    mark, label = f"{dataset._fingerprint}-{column}", labelled(names)
    feature = List(label) if is_list(dataset.features[column]) else label
    kept = dataset.remove_columns(column)
    return kept.add_column(column, made, new_fingerprint=mark, feature=feature)
