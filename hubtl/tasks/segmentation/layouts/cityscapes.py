"""Read Cityscapes as it is unpacked: ``leftImg8bit/{split}/{city}`` and ``gtFine/{split}/{city}``."""

from pathlib import Path

from datasets import DatasetDict

from hubtl.data.cells import Wanted
from hubtl.data.classic.lines import files_in, folders_in
from hubtl.data.sites import IGNORE
from hubtl.data.splits import split_of
from hubtl.errors import HubtlError
from hubtl.tasks.segmentation.layouts import rows
from hubtl.tasks.segmentation.legend import Legend

IMAGES, END = "leftImg8bit", "_leftImg8bit.png"
MASKS = ("gtFine", "gtCoarse")
TRAIN_IDS, IDS = "labelTrainIds.png", "labelIds.png"
NAMES = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation"),
    *("terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
)
OF_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)  # of the 34 ids, in order of NAMES


def read(path: Path, wanted: Wanted) -> DatasetDict | None:
    """Read the splits with masks of train ids, else of ids; None for another folder.

    Raises:
        HubtlError: for an image without a mask where others of its split have one.
    """
    if (home := _home(path)) is None:
        return None
    masks, end = _masks(home)
    found = {}
    for folder in folders_in(home / IMAGES):
        split = split_of(folder.name) or folder.name
        pairs: list[rows.Pair] = []
        for image in (file for city in folders_in(folder) for file in files_in(city) if file.name.endswith(END)):
            mask = home / masks / folder.name / image.parent.name / f"{image.name.removesuffix(END)}_{masks}_{end}"
            pairs.append((image, mask if mask.is_file() else None))
        if pairs:
            found[split] = rows.complete(pairs, split, masks, wanted)
    if not found:
        raise HubtlError(f"{home.name}: {IMAGES} holds no image SPLIT/CITY/*{END}", hint="unpack it again")
    return rows.made(found, home, f"Cityscapes' layout: {IMAGES} and {masks}, masks *_{end}")


def legend(path: Path) -> Legend | None:
    """Return the 19 classes that Cityscapes scores; None for another folder."""
    if (home := _home(path)) is None:
        return None
    if _masks(home)[1] == TRAIN_IDS:
        return Legend(NAMES, "Cityscapes' 19 train ids")
    codes = {number: OF_IDS.index(number) if number in OF_IDS else IGNORE for number in range(34)}
    return Legend(NAMES, "Cityscapes' ids, mapped to its 19 train ids", codes=codes)


def _home(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    path = path.resolve()
    return next((home for home in (path, *folders_in(path)) if (home / IMAGES).is_dir()), None)


def _masks(home: Path) -> tuple[str, str]:
    """Return the folder of masks and the end of their names."""
    masks = next((name for name in MASKS if (home / name).is_dir()), MASKS[0])
    there = next((home / masks).glob(f"*/*/*_{TRAIN_IDS}"), None)
    return masks, IDS if there is None else TRAIN_IDS
