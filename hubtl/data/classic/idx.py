"""Read MNIST's idx files as they are.

MNIST, Fashion-MNIST, KMNIST and EMNIST have them, packed or not.
"""

import gzip
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import DatasetDict

from hubtl.data.classic.lines import content, files_in
from hubtl.data.classic.rows import dataset, first_medium, of_bytes
from hubtl.data.content import file_digest
from hubtl.data.names import listed
from hubtl.data.splits import split_of
from hubtl.data.values import labelled
from hubtl.errors import HubtlError
from hubtl.settings import logger

NAME = re.compile(
    r"(?:(?P<set>.+)[-_])?(?P<split>[A-Za-z0-9]+)[-_.](?P<what>images|labels)[-_.]idx[13][-_]ubyte(\.gz)?"
)
SPLITS = {"t10k": "test"}
TYPES = {8: "unsigned bytes", 9: "bytes", 11: "short integers", 12: "integers", 13: "floats", 14: "doubles"}
MOST = 2**33  # bytes of an unpacked file
PLACES = ("", "raw", "MNIST/raw")  # of torchvision's folders
TURNED = "emnist"  # whose images are stored column by column
NAMES = re.compile(r"(?P<set>.+)[-_]mapping\.txt", re.IGNORECASE)  # EMNIST's: number, code points
HINT = "download it again, or mind that both are of one data set"


@dataclass(frozen=True)
class _Pair:
    """Hold the files of a split: images, and labels or None."""

    images: Path
    labels: Path | None


def is_idx(name: str) -> bool:
    """Return whether a file is called as idx files are."""
    return NAME.fullmatch(name) is not None


def holds(path: Path) -> bool:
    """Return whether a folder holds idx files."""
    return any(_files(path / place) for place in PLACES)


def read(path: Path) -> DatasetDict | None:
    """Read the idx files of a folder, or a file's set.

    None where there are none.

    Raises:
        HubtlError: for damaged files, for unequal counts of images and labels, and for several data sets in a folder.
    """
    if path.is_file():
        own = NAME.fullmatch(path.name)
        found = None if own is None else _pairs(_files(path.parent), own.group("set"))
        return None if not found else _splits(found, path)
    for place in PLACES:
        files = _files(path / place)
        if files:
            sets = sorted({NAME.fullmatch(file.name).group("set") or "" for file in files})  # type: ignore[union-attr]
            if len(sets) > 1:
                first = next(file for file in files if file.name.startswith(sets[-1]))
                raise HubtlError(
                    f"{path.name} holds idx files of several data sets: {listed(name or 'without a name' for name in sets)}",
                    hint=f"give a file of one, such as {first}: those that belong to it are read with it",
                )
            return _splits(_pairs(files, sets[0] or None), path)
    return None


def _files(folder: Path) -> list[Path]:
    """Return the idx files of a folder; unpacked ones before packed ones of the same name."""
    found = [path for path in files_in(folder) if is_idx(path.name)]
    plain = {path.name for path in found}
    return [path for path in found if path.suffix != ".gz" or path.stem not in plain]


def _pairs(files: Iterable[Path], group: str | None) -> dict[str, _Pair]:
    parts: dict[str, dict[str, Path]] = {}
    for file in files:
        own = NAME.fullmatch(file.name)
        if own is not None and own.group("set") == group:
            word = own.group("split").lower()
            split = SPLITS.get(word) or split_of(word) or word
            parts.setdefault(split, {})[own.group("what")] = file
    if alone := [own["labels"] for own in parts.values() if "images" not in own]:
        raise HubtlError(f"{alone[0].name} has no file of images beside it", hint="download the images, too")
    order = sorted(parts, key=lambda split: (split != "train", split))
    return {split: _Pair(parts[split]["images"], parts[split].get("labels")) for split in order}


def _splits(found: dict[str, _Pair], path: Path) -> DatasetDict:
    images = {split: _array(pair.images, 3) for split, pair in found.items()}
    labels = {split: None if pair.labels is None else _array(pair.labels, 1) for split, pair in found.items()}
    for split, pair in found.items():
        known = labels[split]
        if known is not None and pair.labels is not None and len(known) != len(images[split]):
            raise HubtlError(
                f"{pair.images.name} holds {len(images[split]):,} images, and {pair.labels.name} {len(known):,} labels",
                hint=HINT,
            )
    numbers = sorted({int(n) for known in labels.values() if known is not None for n in np.unique(known)})
    names, by = _names(next(iter(found.values())).images, numbers)
    turned = any(pair.images.name.lower().startswith(TURNED) for pair in found.values())
    _say(path, found, images, by, turned=turned)
    medium, place = first_medium(), {number: row for row, number in enumerate(numbers)}
    made = DatasetDict()
    for split, pair in found.items():
        columns: dict[str, pa.Array] = {medium.name: of_bytes(_encoded(images[split], turned=turned))}
        features = {medium.name: medium.feature()}
        if numbers:
            known = labels[split]
            cells = [None] * len(images[split]) if known is None else [place[int(number)] for number in known]
            columns["label"], features["label"] = pa.array(cells, pa.int64()), labelled(names)
        marks = [file_digest(file).hex() for file in (pair.images, pair.labels) if file is not None]
        made[split] = dataset(columns, features, [split, marks, names, turned])
    return made


def _array(path: Path, dimensions: int) -> np.ndarray:
    """Return the bytes of an idx file in its shape. Raises HubtlError for a damaged file."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            raw = file.read(MOST)
    except (OSError, EOFError, zlib.error) as error:
        raise HubtlError(f"{path.name} cannot be read: {error}", hint="download it again") from error
    head = 4 + 4 * dimensions
    if len(raw) < 4 or raw[0] or raw[1] or raw[2] not in TYPES:
        raise HubtlError(
            f"{path.name} is no idx file: it begins with the bytes {raw[:4].hex(' ')}", hint="download it again"
        )
    if raw[2] != 8 or raw[3] != dimensions:
        raise HubtlError(
            f"{path.name} holds {TYPES[raw[2]]} in {raw[3]} dimensions, not unsigned bytes in {dimensions}", hint=HINT
        )
    shape = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, head, 4)]
    size = int(np.prod(shape, dtype=object))
    if len(raw) - head != size or size == 0:
        called = " × ".join(f"{side:,}" for side in shape)
        raise HubtlError(
            f"{path.name} is damaged: it says {called} and holds {max(0, len(raw) - head):,} bytes",
            hint="download it again",
        )
    return np.frombuffer(raw, np.uint8, offset=head).reshape(shape)


def _encoded(images: np.ndarray, *, turned: bool) -> list[bytes]:
    """Return grey images as PGM files, which cost nothing to encode."""
    images = images.transpose(0, 2, 1) if turned else images
    head = f"P5 {images.shape[2]} {images.shape[1]} 255\n".encode()
    return [head + image.tobytes() for image in images]


def _names(first: Path, numbers: Sequence[int]) -> tuple[list[str], str | None]:
    """Return the name of each number, and its file.

    EMNIST has a mapping to code points; other numbers stay.
    """
    own = NAME.fullmatch(first.name)
    group = own.group("set") if own else None
    for path in files_in(first.parent):
        match = NAMES.fullmatch(path.name)
        if match is None or match.group("set") != group:
            continue
        cells = [line.split() for line in content(path, path.name) if line.strip()]
        if all(len(row) > 1 and all(cell.isdecimal() for cell in row) for row in cells):
            named = {int(row[0]): chr(int(row[1])) for row in cells}
            if set(numbers) <= named.keys():
                return [named[number] for number in numbers], path.name
        raise HubtlError(
            f"{path.name} does not name every number with a code point", hint="download it again, or move it out"
        )
    return [str(number) for number in numbers], None


def _say(path: Path, found: dict[str, _Pair], images: dict[str, np.ndarray], by: str | None, *, turned: bool) -> None:
    counts = ", ".join(f"{split} {len(own):,} by {found[split].images.name}" for split, own in images.items())
    name = path.resolve().name
    logger.info("files      %s: idx files: %s%s", name, counts, f"; labels are named by {by}" if by else "")
    if turned:
        logger.info("files      %s: images of EMNIST are stored column by column, and are turned upright", name)
    for split, pair in found.items():
        if pair.labels is None:
            logger.warning("files      %s: no labels of %s: there is no file of them", name, split)
