"""Read paired folders: a mask for each image, with an equal stem, in a folder of its own."""

import re
from collections import defaultdict
from pathlib import Path

from datasets import DatasetDict

from hubtl.data.cells import Wanted
from hubtl.data.classic.rows import first_medium
from hubtl.data.splits import split_of
from hubtl.data.walk import File, walk
from hubtl.errors import HubtlError
from hubtl.io.shown import plural
from hubtl.settings import logger
from hubtl.tasks.segmentation.layouts import rows

IMAGES = frozenset({"rgb", "inputs"})  # beside what the modality calls its folders
MASKS = frozenset(
    {
        "masks",
        "mask",
        "ann",
        "anns",
        "annotation",
        "annotations",
        "labels",
        "label",
        "gt",
        "groundtruth",
        "ground_truth",
    }
    | {"seg", "segs", "segmentation", "segmentations", "labelids", "targets"}
)
ENDS = re.compile(r"[-_ ](masks?|labels?|gt|seg(mentation)?|annotations?|l)$", re.IGNORECASE)  # cat_mask of cat


def read(path: Path, wanted: Wanted) -> DatasetDict | None:
    """Read ``images/ masks/``, ``train/images train/masks`` or ``images/train masks/train``; None for another folder.

    Raises:
        HubtlError: for two masks of one image, and for an image without one where others of its split have one.
    """
    walked = walk(path.resolve())
    images: dict[str, dict[tuple[str, ...], File]] = defaultdict(dict)
    masks: dict[str, dict[tuple[str, ...], File]] = defaultdict(dict)
    folders: dict[bool, set[str]] = {True: set(), False: set()}
    for file in walked.files:
        place = _place(file.parts)
        if place is None or file.kind != first_medium().name:
            continue
        masking, split, key = place
        own = (masks if masking else images)[split]
        folders[masking].add("/".join(file.parts[:-1]))
        if key in own:
            raise HubtlError(f"{path.name}: {own[key].shown} and {file.shown} are called alike", hint="rename one")
        own[key] = file
    if not images or not masks:
        return None
    found = {}
    for split, of in images.items():
        there = masks.get(split, {})
        by = _by_image(there)
        pairs = [(key, by.get(key)) for key in sorted(of)]
        used = {mask for _, mask in pairs if mask is not None}
        lone = [file for file in there.values() if file not in used]
        if lone and not used:
            raise HubtlError(
                f"{path.name}: no mask of {split} is called as an image: {lone[0].shown} beside {min(of.values()).shown}",
                hint="name masks as their images; suffixes may differ",
            )
        if lone:
            logger.warning(
                "files      %s: left out: %s of %s without an image, such as %s",
                *(path.name, plural(len(lone), "mask"), split, lone[0].shown),
            )
        cells = [(Path(walked.path(of[key])), None if mask is None else Path(walked.path(mask))) for key, mask in pairs]
        found[split] = rows.complete(cells, split, " and ".join(_named(folders[True])), wanted)
    order = ("train", "validation", "test")
    found = {
        split: found[split] for split in (*(s for s in order if s in found), *(s for s in found if s not in order))
    }
    reading = (
        f"paired folders: images in {', '.join(_named(folders[False]))}, masks in {', '.join(_named(folders[True]))}"
    )
    return rows.made(found, path.resolve(), reading)


def _named(folders: set[str]) -> list[str]:
    shown = sorted(folders)
    return shown if len(shown) <= 4 else [*shown[:4], f"{len(shown) - 4} more"]


def _place(parts: tuple[str, ...]) -> tuple[bool, str, tuple[str, ...]] | None:
    """Return whether a file is a mask, its split and its key.

    None outside folders of images and of masks."""
    above = [part.lower() for part in parts[:-1]]
    pictures = IMAGES | first_medium().folders
    at = next((place for place, part in enumerate(above) if part in pictures or part in MASKS), None)
    if at is None:
        return None
    split, rest = "train", [*parts[:at], *parts[at + 1 : -1]]
    for place, part in enumerate(rest):
        if word := split_of(part):
            split = word
            del rest[place]
            break
    stem = Path(parts[-1]).stem
    return above[at] in MASKS, split, (*rest, stem)


def _by_image(masks: dict[tuple[str, ...], File]) -> dict[tuple[str, ...], File]:
    """Return masks by the keys of their images: equal stems, else stems with a usual end such as ``_mask``."""
    ended = {(*key[:-1], ENDS.sub("", key[-1])): file for key, file in masks.items()}
    return ended | masks
