"""Read a column of masks: an image whose values are the classes of its pixels."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset
from datasets import Image as ImageFeature

from hubtl.data.labels import Labels
from hubtl.data.origin import numbers
from hubtl.data.sites import IGNORE
from hubtl.errors import HubtlError
from hubtl.record import Outputs
from hubtl.tasks.segmentation.legend import Legend
from hubtl.tasks.segmentation.pixels import Pixels, Place, decoded, numbered, picture_size, present

NAMES = ("mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "seg", "semantic_mask")
MOST = 2 * 2**30  # bytes of masks that are kept in memory; larger ones are sampled down
LARGEST = 255  # classes: the codes are bytes, and one of them means none
BORDER = 1.5  # pixels by which a mask's sides may differ from its image's, scaled


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


@dataclass(frozen=True)
class Part:
    """Hold a split's cells of masks, and those of its images."""

    cells: Sequence[object]
    images: Sequence[object] | None
    places: Sequence[Place]

    def masks(self) -> Iterator[tuple[int, Pixels]]:
        """Decode each mask; rows with an empty cell are left out."""
        for row, (cell, place) in enumerate(zip(self.cells, self.places, strict=True)):
            if (found := decoded(cell, place)) is not None:
                yield row, found


def read(
    parts: Sequence[Dataset],
    column: str,
    where: str,
    called: Sequence[str],
    legend: Legend,
    ignore: int = IGNORE,
) -> Labels:
    """Read the masks of all splits as classes.

    Masks of one size are kept as they are. Others are sampled to the most common size. Masks are decoded twice, so that
    those of a large data set never lie in memory together at their full size.

    Args:
        parts: the splits.
        column: the column with masks.
        where: the data set's name, for errors.
        called: the names of the splits.
        legend: the classes of values and colours; without names the numbers that occur are their names.
        ignore: the value of pixels without a class.

    Returns:
        The classes, and for each split uint8 [n, h, w] with 255 where a pixel has none.

    Raises:
        HubtlError: for a mask that cannot be read or does not fit its image, and for a value that is no class; each
            names the row and the file.
    """
    opened = [_opened(part, column, where, split) for part, split in zip(parts, called, strict=True)]
    met: set[int] = set()
    bits, sizes = False, Counter[tuple[int, ...]]()
    for part in opened:
        for row, mask in part.masks():
            sizes[mask.values.shape] += 1
            bits = bits or mask.bits
            if mask.coloured:
                _check_coloured(mask, legend, part.places[row])
            else:
                met |= set() if mask.bits else set(present(mask.values).tolist())
            _check_fits(mask, part, row)
    codes, notes = _codes(met, bits, legend, ignore)
    known = list(legend.names) or [str(n) for n in range(max(set(codes.values()) - {IGNORE}, default=-1) + 1)]
    if len(known) > LARGEST:
        raise HubtlError(f"{where}: masks of {len(known)} classes, and {LARGEST} are the most", hint="merge classes")
    if not sizes:
        return Labels(Outputs(names=known), [np.full((len(p.cells), 1, 1), IGNORE, np.uint8) for p in opened], notes)
    size = _kept(sizes.most_common(1)[0][0], sum(len(p.cells) for p in opened))
    if len(sizes) > 1 or size not in sizes:  # said first: figures depend on it
        of = f"masks of {len(sizes)} sizes" if len(sizes) > 1 else "masks"
        notes.insert(0, f"{of} are sampled to {size[1]} × {size[0]} pixels, and scored there")
    values = []
    for part in opened:
        made = np.full((len(part.cells), *size), IGNORE, np.uint8)
        for row, mask in part.masks():
            made[row] = _resized(_coded(mask, codes, legend, part.places[row]), size)
        values.append(made)
    return Labels(Outputs(names=known), values, notes)


def _opened(part: Dataset, column: str, where: str, split: str) -> Part:
    from hubtl.plugins.modalities import media

    try:
        image = media()[0].column(part.remove_columns(column), None, where)
    except HubtlError:
        image = None  # whoever reads the images says so
    encoded = part.select_columns([column] if image is None else [column, image])
    for name in encoded.column_names:
        encoded = encoded.cast_column(name, ImageFeature(decode=False))
    cells = encoded[column][:]
    files = [Path(cell["path"]).name if cell and cell.get("path") else "" for cell in cells]
    rows = numbers(part)
    places = [Place(where, split, column, int(row), file) for row, file in zip(rows, files, strict=True)]
    return Part(cells, None if image is None else encoded[image][:], places)


def _check_coloured(mask: Pixels, legend: Legend, place: Place) -> None:
    if not legend.colours:
        raise place.odd(
            "the mask has colours, and which classes they are is not known",
            '--set task.palette=FILE: lines "r g b name", or JSON {"name": [r, g, b]}',
        )
    known = set(numbered(np.array(list(legend.colours))).tolist())
    if odd := sorted(set(present(mask.values).tolist()) - known):
        colour = f"{odd[0] >> 16} {odd[0] >> 8 & 255} {odd[0] & 255}"
        raise place.odd(
            f"the mask has the colour {colour}, which {legend.shown} does not name", _lossy(mask, "add the colour")
        )


def _check_fits(mask: Pixels, part: Part, row: int) -> None:
    """Raise HubtlError for a mask of another shape than its image; a scaled one fits."""
    size = None if part.images is None else picture_size(part.images[row])
    if size is None or mask.values.shape == size:
        return
    (height, width), (high, wide) = mask.values.shape, size
    if abs(high * width / wide - height) > BORDER and abs(wide * height / high - width) > BORDER:
        raise part.places[row].odd(
            f"the mask has {width} × {height} pixels, and its image {wide} × {high}", "a mask of its image's shape"
        )


def _codes(met: set[int], bits: bool, legend: Legend, ignore: int) -> tuple[dict[int, int], list[str]]:
    """Return the class of each value, and notes on binary masks."""
    names = legend.names
    if len(names) in (0, 2) and met <= {0, 255} and 255 in met and legend.codes is None:
        shown = f"two classes, {names[0]} and {names[1]}" if names else "two classes, 0 and 1"
        return {0: 0, 255: 1} | ({1: 1} if bits else {}), [f"masks of 0 and 255 are read as {shown}"]
    met |= {0, 1} if bits else set()
    if legend.codes is not None:
        return {**legend.codes, ignore: IGNORE}, []
    every = range(len(names) or max((value for value in met if value != ignore), default=-1) + 1)
    notes = ["masks of 0 and 1 are read as two classes"] if not names and met - {ignore} == {0, 1} else []
    return {**{value: value for value in every}, ignore: IGNORE}, notes


def _kept(size: tuple[int, ...], rows: int) -> tuple[int, int]:
    """Return the size at which so many masks fit into memory."""
    shrink = max(1.0, (rows * size[0] * size[1] / MOST) ** 0.5)
    return max(1, int(size[0] / shrink)), max(1, int(size[1] / shrink))


def _coded(mask: Pixels, codes: dict[int, int], legend: Legend, place: Place) -> np.ndarray:
    """Return a mask as classes; 255 where there is none."""
    if mask.coloured:
        codes = {int(numbered(np.array(colour))): code for colour, code in legend.colours.items()}
    values = present(mask.values)
    if odd := [value for value in values.tolist() if value not in codes]:
        n = len(legend.names) or len(set(codes.values()) - {IGNORE})
        of = f"{n} classes" + (f" by {legend.shown}" if legend.names else "")
        raise place.odd(
            f"the mask has the value {odd[0]}, and there are {of}",
            _lossy(mask, "mend that mask, --set task.names=…, or --set task.ignore=VALUE for pixels without a class"),
        )
    table = np.array([codes[value] for value in values.tolist()], dtype=np.uint8)
    return np.asarray(table[np.searchsorted(values, mask.values)])


def _lossy(mask: Pixels, hint: str) -> str:
    return "a JPEG changes the values of pixels: save masks as PNG" if mask.lossy else hint


def _resized(found: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if found.shape == size:
        return found
    rows, columns = (
        np.minimum((np.arange(n) + 0.5) / n * full, full - 1).astype(int)
        for n, full in zip(size, found.shape, strict=True)
    )
    return np.ascontiguousarray(found[rows[:, None], columns[None, :]])
