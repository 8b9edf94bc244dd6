"""Make datasets of image and mask files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, DatasetDict

from hubtl.data.cells import Wanted
from hubtl.data.classic.rows import dataset, first_medium
from hubtl.errors import HubtlError
from hubtl.settings import logger

Pair = tuple[Path, Path | None]


def made(splits: Mapping[str, Sequence[Pair]], root: Path, reading: str) -> DatasetDict:
    """Make the splits of a data set, and print the reading."""
    counts = ", ".join(f"{split} {len(pairs):,}" for split, pairs in splits.items())
    logger.info("files      %s: %s: %s", root.name, reading, counts)
    return DatasetDict({split: _split(pairs, root, split) for split, pairs in splits.items()})


def complete(pairs: Sequence[Pair], split: str, what: str, wanted: Wanted) -> list[Pair]:
    """Return the pairs of a split; one without any mask is unlabelled.

    Raises:
        HubtlError: for an image without a mask where others have one, unless such rows are to be skipped.
    """
    bare = [image for image, mask in pairs if mask is None]
    if not bare or len(bare) == len(pairs):
        return list(pairs)
    problem = f"{split}: {bare[0].name} has no mask in {what} ({len(bare)} of {len(pairs)} images have none)"
    if not wanted.lenient:
        raise HubtlError(
            problem, hint="add it, or --on-bad-sample skip; unlabelled images: a folder without masks, or a table"
        )
    logger.warning("files      %s: left out", problem)
    return [pair for pair in pairs if pair[1] is not None]


def _split(pairs: Sequence[Pair], root: Path, split: str) -> Dataset:
    medium = first_medium()
    columns, features = {medium.name: _cells([image for image, _ in pairs])}, {medium.name: medium.feature()}
    if any(mask is not None for _, mask in pairs):
        columns["mask"], features["mask"] = _cells([mask for _, mask in pairs]), medium.feature()
    facts = [str(root), split, [[str(path), *_mark(path)] for pair in pairs for path in pair if path is not None]]
    return dataset(columns, features, facts)


def _cells(paths: Sequence[Path | None]) -> pa.StructArray:
    cells = pa.array([None if path is None else str(path) for path in paths], pa.string())
    return pa.StructArray.from_arrays(
        [pa.nulls(len(cells), pa.binary()), cells], ["bytes", "path"], mask=cells.is_null()
    )


def _mark(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
