"""Identify data by their content, independent of names and times of files."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from hubtl.settings import verifies

WHOLE = 64 * 2**20  # bytes; a file up to this size is read whole
PIECES, PIECE = 64, 2**18  # of a larger one: so many, evenly spread, the first and the last bytes among them
ENDS = 4096  # bytes at the beginning and the end that ``mark`` reads
BATCH = 1000  # rows at a time
READERS = 8  # threads; reading and hashing both let others work
CHUNK = 2**20


def digest(dataset: Dataset, columns: Sequence[str], *, names_files: bool = False) -> str:
    """Return a digest of some columns' cells, in the rows' order.

    Files count by their bytes: all of them up to 64 MiB, for a larger one its size and 64 pieces of 256 KiB, unless
    ``HUBTL_VERIFY=1`` asks for all. Names and times of files do not count.

    Args:
        dataset: the data set.
        columns: names of the columns.
        names_files: read plain text as the path of a file, too.
    """
    return _joined(dataset, columns, _paths if names_files else _content)


def row_digests(dataset: Dataset, column: str) -> list[bytes]:
    """Return a digest of each cell of a column, by content: equal for equal files."""
    found: list[bytes] = []
    with ThreadPoolExecutor(READERS) as pool:
        for batch in _batches(undecoded(dataset.select_columns([column])), column):
            found += _content(batch, pool)
    return found


def mark(parts: Sequence[Dataset], columns: Sequence[str]) -> str:
    """Return a quick digest for the record: for files their size, and their first and last 4 KiB.

    Args:
        parts: the splits.
        columns: names of the columns.
    """
    found = [_joined(part, [c for c in columns if c in part.features], _ends) for part in parts]
    return MARK + hashlib.blake2b("".join(found).encode(), digest_size=12).hexdigest()


MARK = "rows-"  # how a fingerprint of this kind begins; older records have others


def file_digest(path: Path) -> bytes:
    """Return a digest of a file's content; irregular or unreadable files count as such."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            return b"no regular file"
        made = hashlib.blake2b(str(found.st_size).encode(), digest_size=16)
        with path.open("rb") as file:
            if found.st_size <= WHOLE or verifies():
                while piece := file.read(CHUNK):
                    made.update(piece)
            else:
                for start in np.linspace(0, found.st_size - PIECE, PIECES).astype(np.int64).tolist():
                    file.seek(start)
                    made.update(file.read(PIECE))
        return made.digest()
    except OSError as error:
        return f"unreadable: {error.errno}".encode()


def heads(dataset: Dataset, column: str, count: int) -> Iterator[bytes]:
    """Yield the first bytes of each cell of a column of files; none for an empty or unreadable cell."""

    def first(cell: Any) -> bytes:
        path = cell if isinstance(cell, str) else (cell or {}).get("path")
        return _part(path, 0, count) if path else b""

    with ThreadPoolExecutor(READERS) as pool:
        for batch in _batches(dataset, column):
            embedded, cells = _embedded(batch, 0, count)
            read = iter(pool.map(first, [c for c, own in zip(cells, embedded, strict=True) if own is None]))
            yield from (next(read) if own is None else own for own in embedded)


def undecoded(dataset: Dataset) -> Dataset:
    """Return columns that ``datasets`` would decode, as they lie in the file. They hold images, recordings and others."""
    for name, feature in dataset.features.items():
        if getattr(feature, "decode", False) is True:
            dataset = dataset.cast_column(name, type(feature)(decode=False))
    return dataset


def _joined(dataset: Dataset, columns: Sequence[str], of: Any) -> str:
    """Return one digest of the digests that ``of`` makes of each cell."""
    dataset = undecoded(dataset.select_columns(list(dict.fromkeys(columns))))
    whole = hashlib.blake2b(digest_size=16)
    with ThreadPoolExecutor(READERS) as pool:
        for column in columns:
            whole.update(b"column")
            for batch in _batches(dataset, column):
                for found in of(batch, pool):
                    whole.update(len(found).to_bytes(8, "little") + found)
    return f"{whole.hexdigest()}-{len(dataset)}"


def _batches(dataset: Dataset, column: str) -> Iterator[pa.Array]:
    rows = dataset.select_columns([column]).with_format("arrow")
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH].column(0).combine_chunks()


def _is_file(batch: pa.Array) -> bool:
    return pa.types.is_struct(batch.type) and {f.name for f in batch.type} == {"bytes", "path"}


def _embedded(batch: pa.Array, start: int, stop: int | None) -> tuple[list[bytes | None], list[Any]]:
    """Return each cell's bytes from ``start`` on, None for cells in files; and the paths."""
    if not _is_file(batch):
        cells = batch.to_pylist()
        return [cell if isinstance(cell, bytes) else None for cell in cells], cells
    raw, paths = pc.struct_field(batch, "bytes"), pc.struct_field(batch, "path").to_pylist()
    return pc.binary_slice(raw, start, stop).to_pylist(), paths


def _content(batch: pa.Array, pool: ThreadPoolExecutor) -> Iterator[bytes]:
    if not _is_file(batch):
        yield from (json.dumps(cell, sort_keys=True, default=_plain).encode() for cell in batch.to_pylist())
        return
    yield from pool.map(_cell_digest, batch.to_pylist())


def _paths(batch: pa.Array, pool: ThreadPoolExecutor) -> Iterator[bytes]:
    if not pa.types.is_string(batch.type) and not pa.types.is_large_string(batch.type):
        yield from _content(batch, pool)
        return
    cells = batch.to_pylist()
    yield from pool.map(lambda cell: file_digest(Path(cell).expanduser()) if cell and cell.strip() else b"", cells)


def _cell_digest(cell: Any) -> bytes:
    if cell is None or (cell["bytes"] is None and not cell["path"]):
        return b""
    if cell["bytes"] is None:
        return file_digest(Path(cell["path"]))
    made = hashlib.blake2b(str(len(cell["bytes"])).encode(), digest_size=16)
    made.update(cell["bytes"])
    return made.digest()


def _ends(batch: pa.Array, pool: ThreadPoolExecutor) -> Iterator[bytes]:
    if not _is_file(batch):
        yield from _content(batch, pool)
        return
    sizes = pc.binary_length(pc.struct_field(batch, "bytes")).to_pylist()
    (first, paths), (last, _) = _embedded(batch, 0, ENDS), _embedded(batch, -ENDS, None)
    for size, own, end, file in zip(sizes, first, last, pool.map(_file_ends, paths), strict=True):
        yield file if own is None else str(size).encode() + hashlib.blake2b(own + (end or b"")).digest()


def _file_ends(path: str | None) -> bytes:
    if not path:
        return b""
    try:
        found = os.stat(path)
    except OSError:
        return b"unreadable"
    ends = _part(path, 0, ENDS) + _part(path, max(0, found.st_size - ENDS), ENDS)
    return str(found.st_size).encode() + hashlib.blake2b(ends).digest()


def _part(path: str, start: int, count: int) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return b""
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(count)
    except OSError:
        return b""


def _plain(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else repr(value)
