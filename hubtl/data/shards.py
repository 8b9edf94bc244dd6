"""Reading Parquet files whose label columns count their classes in different orders: each file by its own names."""

import json
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, concatenate_datasets

from hubtl.data.names import listed
from hubtl.errors import HubtlError
from hubtl.settings import logger

Named = dict[str, tuple[str, ...]]  # column -> the names of its classes, in order


def read(groups: Sequence[Sequence[Path]], built: Callable[[Sequence[Path]], Dataset]) -> list[Dataset]:
    """Read groups of files, each as one dataset that ``built`` makes of files which count their classes alike.

    A library reads all files by the names of the first, whatever the others' are. A file without names has those on
    which the others agree. Raises HubtlError for a label that is none of its file's, and where the others do not agree.
    """
    paths = [path for group in groups for path in group]
    names = {path: class_names(path) for path in paths}
    agreed: Named = {}
    for column in dict.fromkeys(column for found in names.values() for column in found):
        orders = {found[column] for found in names.values() if column in found}
        lacking = [path.name for path in paths if column not in names[path] and _numbered(path, column)]
        if len(orders) > 1 and lacking:
            raise HubtlError(
                f"the files number the classes of column {column!r} differently, and {lacking[0]} does not name its own",
                hint="write every file with the names of its classes (a ClassLabel feature)",
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
    """Parts of a split with one order of classes in each label column; numbers without names have those agreed on."""
    found = list(parts)
    files = files or ["a table"] * len(found)
    usual = {n: tuple(f.names) for part in found for n, f in part.features.items() if isinstance(f, ClassLabel)}
    for column, names in (usual | (agreed or {})).items():
        if not all(_counts(part.features.get(column)) for part in found):
            continue
        own = [tuple(getattr(part.features[column], "names", names)) for part in found]
        typed = all(isinstance(part.features[column], ClassLabel) for part in found)
        if len(set(own)) == 1 and typed:
            continue
        union = list(dict.fromkeys(name for names in own for name in names))
        found = [_renumbered(*of, column, union) for of in zip(found, files, own, strict=True)]
    return found


def class_names(path: Path) -> Named:
    """The names of the classes of a Parquet file's label columns, as ``datasets`` keeps them in its metadata."""
    try:
        kept = (pq.read_schema(path).metadata or {}).get(b"huggingface")
        features = Features.from_dict(json.loads(kept)["info"]["features"]) if kept else {}
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, RecursionError):
        return {}  # whatever is wrong with it is said when it is read
    return {name: tuple(f.names) for name, f in features.items() if isinstance(f, ClassLabel)}


def _numbered(path: Path, column: str) -> bool:
    schema = pq.read_schema(path)
    return column in schema.names and pa.types.is_integer(schema.field(column).type)


def _counts(feature: object) -> bool:
    return isinstance(feature, ClassLabel) or "int" in str(getattr(feature, "dtype", ""))


def _renumbered(dataset: Dataset, file: str, own: Sequence[str], column: str, names: list[str]) -> Dataset:
    place = {name: i for i, name in enumerate(names)}
    made: list[int | None] = []
    for row, value in enumerate(dataset.with_format(None)[column][:]):
        if value is not None and not (isinstance(value, int) and -1 <= value < len(own)):
            raise HubtlError(
                f"{file}, column {column!r}, row {row}: label {value!r} is out of range; it names {len(own)} classes",
                hint="mend that row, or --label-column for another column",
            )
        made.append(value if value is None or value < 0 else place[own[value]])
    mark = f"{dataset._fingerprint}-{column}"
    kept = dataset.remove_columns(column)
    return kept.add_column(column, made, new_fingerprint=mark, feature=ClassLabel(names=names))
