"""Read a column of masks: an image whose values are the classes of its pixels."""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image

from hubtl.data.labels import Labels
from hubtl.data.origin import numbers
from hubtl.data.sites import IGNORE
from hubtl.errors import HubtlError
from hubtl.record import Outputs

NAMES = ("mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "seg", "semantic_mask")
MOST = 2 * 2**30  # bytes of masks that are kept in memory; larger ones are sampled down
LARGEST = 255  # classes: the codes are bytes, and one of them means none


def column(dataset: Dataset, asked: str | None, where: str) -> str | None:
    """Return the column with masks: a second column of images, or the one asked for.

    Raises:
        HubtlError: for a column that was asked for and is not there, or holds no images.
    """
    from hubtl.data.columns import existing, of_files, usual

    if asked is not None:
        return of_files(dataset, existing(dataset, asked, "label", where), "mask", where)
    pictures = [name for name, feature in dataset.features.items() if isinstance(feature, ImageFeature)]
    found = usual(pictures, NAMES)
    return found[0] if found else None


def read(
    parts: Sequence[Dataset],
    column: str,
    where: str,
    called: Sequence[str],
    names: Sequence[str],
    ignore: int = IGNORE,
) -> Labels:
    """Read the masks of all splits as classes.

    Masks of one size are kept as they are. Others are sampled to the most common size.

    Args:
        parts: the splits.
        column: the column with masks.
        where: the data set's name, for errors.
        called: the names of the splits.
        names: the classes by number; empty: the numbers that occur are their names.
        ignore: the value of pixels without a class.

    Returns:
        The classes, and for each split uint8 [n, h, w] with 255 where a pixel has none.

    Raises:
        HubtlError: for a mask that cannot be read, and for a value that is no class; both name the row.
    """
    raw = [_opened(part, column, where, split) for part, split in zip(parts, called, strict=True)]
    met = set().union(*(set(np.unique(mask).tolist()) for own in raw for mask in own if mask is not None))
    notes: list[str] = []
    binary = not names and bool(met) and met <= {0, 255} and 255 in met
    if binary:
        notes.append("masks of 0 and 255 are read as two classes, 0 and 1")
    elif len(names) == 2 and met <= {0, 255} and 255 in met:
        binary = True
        notes.append(f"masks of 0 and 255 are read as {names[0]} and {names[1]}")
    codes = sorted(value for value in met if binary or value != ignore)
    known = list(names) or [str(n) for n in range(2 if binary else (max(codes, default=-1) + 1))]
    if len(known) > LARGEST:
        raise HubtlError(f"{where}: masks of {len(known)} classes, and {LARGEST} are the most", hint="merge classes")
    sizes = Counter(mask.shape for own in raw for mask in own if mask is not None)
    if not sizes:
        return Labels(Outputs(names=known), [np.full((len(own), 1, 1), IGNORE, np.uint8) for own in raw], notes)
    size = _kept(sizes.most_common(1)[0][0], sum(map(len, raw)))
    if len(sizes) > 1 or size not in sizes:
        notes.append(f"masks of {len(sizes)} sizes are sampled to {size[1]} × {size[0]} pixels, and scored there")
    values = []
    for own, part, split in zip(raw, parts, called, strict=True):
        made = np.full((len(own), *size), IGNORE, np.uint8)
        for row, mask in enumerate(own):
            if mask is not None:
                made[row] = _coded(mask, known, ignore, binary, (where, split, column, int(numbers(part)[row])), size)
        values.append(made)
    return Labels(Outputs(names=known), values, notes)


def class_names(given: str | None, where: str) -> list[str]:
    """Return the classes of ``task.names``: a file with a name a line, or names separated by commas.

    Raises:
        HubtlError: for a file that is missing, and for a name that occurs twice.
    """
    if not given:
        return []
    path = Path(given).expanduser()
    if "," not in given:
        if not path.is_file():
            raise HubtlError(
                f"task.names: there is no file {given}", hint="names separated by commas, or a file of lines"
            )
        found = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    else:
        found = [name.strip() for name in given.split(",") if name.strip()]
    if twice := [name for name, n in Counter(found).items() if n > 1]:
        raise HubtlError(f"task.names has {twice[0]!r} twice ({where})", hint="a name for each class")
    return found


def _opened(part: Dataset, column: str, where: str, split: str) -> list[np.ndarray | None]:
    """Return the values [h, w] of each mask; None where a cell is empty."""
    encoded = part.select_columns([column]).cast_column(column, ImageFeature(decode=False))
    rows = numbers(part)
    return [_values(cell, (where, split, column, int(row))) for cell, row in zip(encoded[column][:], rows, strict=True)]


def _values(cell: Any, place: tuple[str, str, str, int]) -> np.ndarray | None:
    if cell is None or not (cell.get("bytes") or cell.get("path")):
        return None
    try:
        image = Image.open(io.BytesIO(cell["bytes"]) if cell.get("bytes") else cell["path"])
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _odd(*place, f"the mask cannot be read: {error}") from error
    if image.mode not in ("P", "L", "1", "I", "I;16"):
        raise _odd(*place, f"a mask of mode {image.mode} has no class numbers")
    values = np.array(image)
    return values.astype(np.uint8) * (255 if image.mode == "1" else 1) if values.max(initial=0) < 256 else values


def _kept(size: tuple[int, ...], rows: int) -> tuple[int, int]:
    """Return the size at which so many masks fit into memory."""
    shrink = max(1.0, (rows * size[0] * size[1] / MOST) ** 0.5)
    return max(1, int(size[0] / shrink)), max(1, int(size[1] / shrink))


def _coded(
    mask: np.ndarray,
    names: Sequence[str],
    ignore: int,
    binary: bool,
    place: tuple[str, str, str, int],
    size: tuple[int, int],
) -> np.ndarray:
    """Return a mask as classes at a size; 255 where there is none."""
    if binary:
        mask = (mask == 255).astype(np.uint8)
    none = np.zeros(mask.shape, dtype=bool) if binary else mask == ignore
    if odd := sorted(set(np.unique(mask[~none]).tolist()) - set(range(len(names)))):
        raise _odd(
            *place, f"the mask has the value {odd[0]}, and there are {len(names)} classes, 0 to {len(names) - 1}"
        )
    found = np.where(none, IGNORE, mask).astype(np.uint8)
    if found.shape == size:
        return found
    rows, columns = (
        np.minimum((np.arange(n) + 0.5) / n * full, full - 1).astype(int)
        for n, full in zip(size, found.shape, strict=True)
    )
    return np.ascontiguousarray(found[rows[:, None], columns[None, :]])


def _odd(where: str, split: str, column: str, row: int, what: str) -> HubtlError:
    at = f"{where}, split {split}, column {column!r}, row {row}"
    return HubtlError(f"{at}: {what}", hint="mend that mask; --set task.ignore=VALUE for pixels without a class")
