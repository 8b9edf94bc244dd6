"""Read the labels of a VOCdevkit.

There is one list for each name in ImageSets/Main, or the objects in Annotations. In a list −1 is no, 1 is yes, and 0 is
not known: all objects of that name are difficult.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
from datasets import DatasetDict, List, Value

from hubtl.data.cells import Wanted
from hubtl.data.classic import voc
from hubtl.data.classic.lines import content, files_in
from hubtl.data.classic.rows import dataset, first_medium, of_files
from hubtl.data.values import UNKNOWN, labelled
from hubtl.errors import HubtlError
from hubtl.io import plain
from hubtl.settings import logger

LIST = re.compile(r"(.+)_(train|val|trainval|test)\.txt")
VALUES = {"-1": -1, "1": 1, "0": 0}
LARGEST = 2**24  # bytes of an annotation
SINGLE = "single_label"  # of images with one name alone; text, so that it is read only where it is asked for
Known = dict[str, int]  # name -> 1 yes, 0 not known


def read(path: Path, wanted: Wanted) -> DatasetDict | None:
    """Read the splits of a devkit's year; None for another folder, and for one without labels for images.

    Columns are the image, ``labels`` with the names of its objects, and ``labels_unknown`` with those that are difficult
    everywhere. ``label`` is there if every image has one name, else ``single_label``, empty for images with several.

    Raises:
        HubtlError: for several years, damaged lists and annotations, and an image that is missing.
    """
    year = voc.one_year(path)
    if year is None or not ((year / voc.SETS / voc.MAIN).is_dir() or (year / voc.ANNOTATIONS).is_dir()):
        return None
    said: list[str] = []
    names, lists = _lists(year)
    splits = voc.splits(year, voc.MAIN) or _by_lists(lists)
    if not splits:
        splits = {"train": [p.stem for p in files_in(year / voc.ANNOTATIONS) if p.suffix == ".xml"]}
        said.append(f"{voc.SETS}/{voc.MAIN} lists no split: every image with an annotation is of train")
    listed = {image: own for ids in lists.values() for image, own in ids.items()}
    rows = {split: [(image, _known(year, image, listed, names)) for image in ids] for split, ids in splits.items()}
    every = [own for part in rows.values() for _, own in part if own is not None]
    names = names or sorted({name for own in every for name in own})
    by = {
        f"{voc.SETS}/{voc.MAIN}/NAME_SPLIT.txt": sum(image in listed for part in rows.values() for image, _ in part),
        f"{voc.ANNOTATIONS}/*.xml": sum(
            image not in listed and own is not None for part in rows.values() for image, own in part
        ),
    }
    single = bool(every) and all(list(own.values()) == [1] for own in every)
    paths = voc.files(year / voc.IMAGES)
    rows = {split: _there(part, paths, year, split, wanted, said) for split, part in rows.items()}
    counts = ", ".join(f"{split} {len(part):,}" for split, part in rows.items())
    logger.info("files      %s: VOC's layout: %s", year.name, counts)
    shown = ", ".join(f"{name} ({count:,} images)" for name, count in by.items() if count) or "none"
    logger.info("files      %s: labels are read from %s", year.name, shown)
    for line in dict.fromkeys(said):
        logger.warning("files      %s: %s", year.name, line)
    facts = [str(year), names, single]
    return DatasetDict({split: _dataset(part, paths, names, single, [*facts, split]) for split, part in rows.items()})


def _lists(year: Path) -> tuple[list[str], dict[str, dict[str, Known]]]:
    """Return names with lists, and each split's labels by image."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    names: dict[str, set[str]] = {}
    folder = year / voc.SETS / voc.MAIN
    for text in files_in(folder):
        match = LIST.fullmatch(text.name)
        if match is None:
            continue
        name, split = match.group(1), voc.split_called(match.group(2))
        for number, line in enumerate(content(text, text.name), 1):
            cells = line.split()
            if not cells:
                continue
            if len(cells) != 2 or cells[1] not in VALUES:
                raise HubtlError(
                    f"{text.name}, line {number}: {line.strip()[:60]!r} is no image with −1, 0 or 1",
                    hint="mend the line",
                )
            found.setdefault(split, {}).setdefault(cells[0], {})[name] = VALUES[cells[1]]
        names.setdefault(split, set()).add(name)
    every = sorted(set().union(*names.values())) if names else []
    for split, own in names.items():
        if lacking := [name for name in every if name not in own]:
            raise HubtlError(
                f"{folder.name} has no {lacking[0]}_{_word(split)}.txt beside {min(own)}_{_word(split)}.txt",
                hint="download it again",
            )
    return every, {
        split: {image: {n: v for n, v in own.items() if v >= 0} for image, own in ids.items() if len(own) == len(every)}
        for split, ids in found.items()
    }


def _word(split: str) -> str:
    return "val" if split == "validation" else split


def _by_lists(lists: dict[str, dict[str, Known]]) -> dict[str, list[str]]:
    return {split: list(lists[split]) for split in voc.ORDER if split in lists}


def _known(year: Path, image: str, listed: dict[str, Known], names: Sequence[str]) -> Known | None:
    """Return an image's labels by the lists, else by its annotation; None without either."""
    if image in listed:
        return listed[image]
    path = year / voc.ANNOTATIONS / f"{image}.xml"
    if not path.is_file():
        return None
    own = annotated(path)
    if strange := [name for name in own if names and name not in names]:
        raise HubtlError(
            f"{path.name} names {strange[0]!r}, which has no list in {voc.SETS}/{voc.MAIN}", hint="mend the file"
        )
    return own


def annotated(path: Path) -> Known:
    """Return the names of an annotation's objects: 1, or 0 where all of that name are difficult.

    Raises:
        HubtlError: for a damaged annotation.
    """
    try:
        text = plain.text_of(path, LARGEST)
        if "<!DOCTYPE" in text:
            raise ValueError("it declares a document type")
        root = ElementTree.fromstring(text)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise HubtlError(f"{path.name} cannot be read: {error}", hint="mend the annotation") from error
    found: Known = {}
    for thing in root.iter("object"):
        name = (thing.findtext("name") or "").strip()
        if not name:
            raise HubtlError(f"{path.name}: an object has no name", hint="mend the annotation")
        clear = (thing.findtext("difficult") or "0").strip() in ("", "0")
        found[name] = max(found.get(name, 0), int(clear))
    return found


def _there(
    rows: list[tuple[str, Known | None]],
    paths: dict[str, Path],
    year: Path,
    split: str,
    wanted: Wanted,
    said: list[str],
) -> list[tuple[str, Known | None]]:
    """Return the rows whose image is there. Raises HubtlError for a missing one, unless they are to be skipped."""
    lost = [image for image, _ in rows if image not in paths]
    if lost:
        problem = (
            f"{split} lists {lost[0]}, and {voc.IMAGES} has no such image ({len(lost)} of {len(rows)} are missing)"
        )
        if not wanted.lenient or len(lost) == len(rows):
            raise HubtlError(f"{year.name}: {problem}", hint="download it again, or --on-bad-sample skip")
        said.append(f"{problem}: left out")
    return [row for row in rows if row[0] in paths]


def _dataset(
    rows: list[tuple[str, Known | None]],
    paths: dict[str, Path],
    names: list[str],
    single: bool,
    facts: Iterable[object],
) -> object:
    medium, place = first_medium(), {name: number for number, name in enumerate(names)}
    columns: dict[str, pa.Array] = {medium.name: of_files([str(paths[image]) for image, _ in rows])}
    features = {medium.name: medium.feature()}
    if names:
        sets = {
            value: [None if own is None else [place[n] for n, v in own.items() if v == value] for _, own in rows]
            for value in (1, 0)
        }
        features["labels"], features[f"labels{UNKNOWN}"] = List(labelled(names)), List(labelled(names))
        columns["labels"] = pa.array(sets[1], pa.list_(pa.int64()))
        columns[f"labels{UNKNOWN}"] = pa.array(sets[0], pa.list_(pa.int64()))
        alone = [None if own is None or list(own.values()) != [1] else next(iter(own)) for _, own in rows]
        if single:
            features["label"] = labelled(names)
            columns["label"] = pa.array([None if name is None else place[name] for name in alone], pa.int64())
        else:
            features[SINGLE], columns[SINGLE] = Value("string"), pa.array(alone, pa.string())
    return dataset(columns, features, [*facts, [[image, own] for image, own in rows]])
