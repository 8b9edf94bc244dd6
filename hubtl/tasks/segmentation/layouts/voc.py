"""Read the masks of a VOCdevkit: ``JPEGImages``, ``SegmentationClass``, ``ImageSets/Segmentation``."""

from pathlib import Path

from datasets import DatasetDict

from hubtl.data.cells import Wanted
from hubtl.data.classic.voc import IMAGES, SETS, files, one_year, splits
from hubtl.data.sites import IGNORE
from hubtl.errors import HubtlError
from hubtl.tasks.segmentation.layouts import beside, rows
from hubtl.tasks.segmentation.legend import Legend
from hubtl.tasks.segmentation.palette import voc_colours

KIND, MASKS = "Segmentation", "SegmentationClass"
BORDER = (224, 224, 192)  # of objects, in the colours of 255
NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def read(path: Path, wanted: Wanted) -> DatasetDict | None:
    """Read the splits of a year with masks; None for another folder.

    Raises:
        HubtlError: for several years, and for an image or a mask that a split lists and that is missing.
    """
    year = _year(path)
    if year is None:
        return None
    images, masks = files(year / IMAGES), files(year / MASKS)
    listed = splits(year, KIND) or {"train": sorted(images.keys() & masks.keys())}
    found = {}
    for split, ids in listed.items():
        if lost := [name for name in ids if name not in images]:
            problem = f"{split} lists {lost[0]}, and {IMAGES} has no such image ({len(lost)} of {len(ids)})"
            if not wanted.lenient or len(lost) == len(ids):
                raise HubtlError(f"{year.name}: {problem}", hint="download it again, or --on-bad-sample skip")
        pairs = [(images[name], masks.get(name)) for name in ids if name in images]
        found[split] = rows.complete(pairs, split, MASKS, wanted)
    return rows.made(found, year, f"VOC's layout: {IMAGES}, {MASKS} and {SETS}/{KIND}")


def legend(path: Path) -> Legend | None:
    """Return the names in a file beside, else VOC's 21 classes; 255 is the border of objects."""
    year = _year(path)
    if year is None:
        return None
    colours = {tuple(colour): number for number, colour in enumerate(voc_colours(len(NAMES)).tolist())}
    return beside.legend(year) or Legend(NAMES, "VOC's 21 classes", {**colours, BORDER: IGNORE})


def _year(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    year = one_year(path)
    return year if year is not None and (year / MASKS).is_dir() else None
