"""Find the years, splits and images of a VOCdevkit."""

import re
from pathlib import Path

from hubtl.data.classic.lines import content, files_in, folders_in
from hubtl.data.splits import split_of
from hubtl.data.suffixes import OTHER, TABLE, kind_of
from hubtl.errors import HubtlError

IMAGES, SETS, ANNOTATIONS = "JPEGImages", "ImageSets", "Annotations"
MAIN = "Main"  # the folder of splits for classification, in ImageSets
DEEP = 3  # levels in which the folder of a year is looked for: VOCtrainval_06-Nov-2007/VOCdevkit/VOC2007
ORDER = ("train", "trainval", "validation", "test")


def years(path: Path) -> list[Path]:
    """Return the folders with ``JPEGImages`` beside ``ImageSets`` or ``Annotations``: the folder, or some below it."""
    level = [path]
    for _ in range(DEEP + 1):
        if found := [folder for folder in level if _is_year(folder)]:
            return found
        level = [inner for folder in level for inner in folders_in(folder)]
        if len(level) > 100:  # no devkit: it has a handful
            return []
    return []


def _is_year(folder: Path) -> bool:
    return (folder / IMAGES).is_dir() and ((folder / SETS).is_dir() or (folder / ANNOTATIONS).is_dir())


def one_year(path: Path) -> Path | None:
    """Return the only year of a devkit; None where the folder is none. Raises HubtlError for several."""
    found = years(path)
    if len(found) > 1:
        names = ", ".join(str(year.relative_to(path)) for year in found)
        raise HubtlError(
            f"{path.name} holds {len(found)} data sets in VOC's layout: {names}",
            hint=f"give one of them, {found[0]}, or name it: --source-domain {found[0].name} (--target-domain)",
        )
    return found[0] if found else None


def split_called(word: str) -> str:
    """Return the split of a list in ImageSets: ``val`` is validation, ``trainval`` itself."""
    return split_of(word) or word


def splits(year: Path, kind: str) -> dict[str, list[str]]:
    """Return the ids of images in each split, by ``ImageSets/KIND/{train,val,trainval,test}.txt``.

    Args:
        year: the folder of a year.
        kind: ``Main`` for classification, ``Segmentation``, …
    """
    found: dict[str, list[str]] = {}
    for text in files_in(year / SETS / kind):
        if text.suffix == ".txt" and re.fullmatch(r"train|val|trainval|test", text.stem):
            shown = f"{SETS}/{kind}/{text.name}"
            ids = [line.split()[0] for line in content(text, shown) if line.strip()]
            found[split_called(text.stem)] = list(dict.fromkeys(ids))
    return {split: found[split] for split in ORDER if found.get(split)}


def files(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by their ids."""
    return {path.stem: path for path in files_in(folder) if kind_of(path.name) not in (TABLE, OTHER)}
