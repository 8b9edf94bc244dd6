"""Read ``metadata.csv``, ``.jsonl`` or ``.parquet`` beside files: more columns for these files."""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, Features

from hubtl.data.cells import Wanted, with_files
from hubtl.data.tables import read
from hubtl.data.values import LABEL_NAMES
from hubtl.data.walk import File, Walked
from hubtl.errors import HubtlError
from hubtl.io.shown import plural
from hubtl.plugins import modalities

KEY = "file_name"


@dataclass(frozen=True)
class Metadata:
    """Hold a table beside files: the file of each row, and its other columns."""

    shown: str
    rows: Mapping[tuple[str, ...], int]
    others: Dataset

    @property
    def labelled(self) -> bool:
        return any(name.lower() in LABEL_NAMES for name in self.others.column_names)


def is_metadata(file: File) -> bool:
    return file.kind == "table" and file.parts[-1].lower() in ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def gather(walked: Walked, wanted: Wanted, said: list[str]) -> list[Metadata]:
    """Return the metadata below a folder. Raises HubtlError for one that does not load, or names a file twice."""
    kinds = [one.name for one in modalities.media()]
    media = {file.parts for file in walked.of(*kinds)}
    found: list[Metadata] = []
    folders: dict[tuple[str, ...], File] = {}
    for file in filter(is_metadata, walked.of("table")):
        if (other := folders.setdefault(file.parts[:-1], file)) != file:
            raise HubtlError(f"{other.shown} and {file.shown} lie in one folder", hint="leave one of them")
        (dataset,) = read([[Path(walked.path(file))]])
        keys = [name for name in dataset.column_names if name.lower() == KEY or name.lower().endswith(f"_{KEY}")]
        key = next((name for name in keys if name.lower() == KEY), next(iter(keys), None))
        if key is None:
            said.append(f"{file.shown} has no column {KEY}, and is left out")
            continue
        rows = _rows(dataset, key, file, walked.root)
        lost = [parts for parts in rows if parts not in media]
        if lost:
            said.append(
                f"{file.shown} names files that are not there, in {plural(len(lost), 'row')}: {'/'.join(lost[0])}, for example"
            )
        names = {name: name[: -len(KEY) - 1] for name in keys if name != key and name.lower() != KEY}
        others = dataset.remove_columns(key).rename_columns(
            {k: v for k, v in names.items() if v not in dataset.features}
        )
        had = frozenset(f.kind for f in walked.of(*kinds) if f.parts in rows)
        folder = Path(walked.root, *file.parts[:-1])
        found.append(Metadata(file.shown, rows, with_files(others, [folder], wanted, file.shown, had=had)))
    return found


def _rows(dataset: Dataset, key: str, file: File, root: Path) -> dict[tuple[str, ...], int]:
    """Return each file's row, by the file's path below the root."""
    rows: dict[tuple[str, ...], int] = {}
    others = dataset.remove_columns(key)
    above = "/".join(file.parts[:-1])
    base = str(root.resolve())
    for row, cell in enumerate(dataset.with_format(None)[key][:]):
        if cell is None:
            continue
        name = str(cell).replace("\\", "/")
        name = (
            posixpath.relpath(name, base) if name.startswith("/") else posixpath.normpath(posixpath.join(above, name))
        )
        parts = tuple(name.split("/"))
        if parts in rows and others[rows[parts]] != others[row]:
            raise HubtlError(
                f"{file.shown}: rows {rows[parts]} and {row} are both of {cell}, and differ", hint="leave one of them"
            )
        rows.setdefault(parts, row)
    return rows


def joined(found: Sequence[Metadata], files: Sequence[File], taken: Sequence[str]) -> tuple[pa.Table, Features] | None:
    """Join the other columns, a row for each file (null without one).

    Names in ``taken`` become ``metadata_NAME``.
    """
    own = [m for m in found if m.others.column_names and any(file.parts in m.rows for file in files)]
    if not own:
        return None
    features: dict[str, object] = {}
    for metadata in own:
        for name, feature in metadata.others.features.items():
            if features.setdefault(name, feature) != feature:
                raise HubtlError(
                    f"column {name!r} of {metadata.shown} holds another type than that of {own[0].shown}",
                    hint="mend one of them",
                )
    tables = [m.others.with_format("arrow")[:] for m in own]
    whole = pa.concat_tables([t.replace_schema_metadata(None) for t in tables], promote_options="default")
    starts = [sum(len(m.others) for m in own[:i]) for i in range(len(own))]
    places = []
    for file in files:
        hits = [start + m.rows[file.parts] for start, m in zip(starts, own, strict=True) if file.parts in m.rows]
        places.append(hits[-1] if hits else None)  # of several, that of the nearest folder: they come in order of paths
    names = [f"metadata_{name}" if name in taken else name for name in whole.column_names]
    picked = whole.take(pa.array(places, pa.int64())).rename_columns(names)
    return picked, Features(dict(zip(names, (features[name] for name in whole.column_names), strict=True)))
