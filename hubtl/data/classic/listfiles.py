"""Find the lists of files that come with a folder."""

import re
from pathlib import Path

from hubtl.data.classic.lines import files_in, folders_in, is_list
from hubtl.data.layout import WRAPPERS
from hubtl.data.names import loose
from hubtl.data.splits import split_of
from hubtl.plugins import modalities

PLACES = ("image_list", "image_lists", "splits", "split", "lists", "list", "kfold")  # folders of lists
WHOLE = frozenset({"image_list", "image_lists", "imagelist", "images", "list", "file_list", "filelist", "all"})
ENDS = re.compile(r"[-_](kfold|list|image_?list|images|files|labels?)$")
SPLITS = {"crossval": "validation", "trainval": "trainval"}


def split_named(stem: str, domain: str | None) -> str | None:
    """Return the split that a list's name means.

    It is "" for a list without a split, None for another text.

    Args:
        stem: the name without its suffix.
        domain: the name of its domain, which may come first.
    """
    word = stem.strip().lower()
    if domain is not None and re.match(re.escape(domain.strip().lower()) + r"([-_]|$)", word):
        word = word[len(domain.strip()) + 1 :]
    plain = ENDS.sub("", f"_{word}").strip("_")
    return "" if word in WHOLE or not plain else SPLITS.get(plain) or split_of(plain)


def texts(root: Path, domain: str | None) -> list[tuple[Path, str]]:
    """Return the texts that may be a folder's lists, with splits.

    They lie in the folder, in a folder of lists or a split within, or above it with the folder's name before theirs.
    """
    found: dict[Path, str] = {}
    for place in (root, *(root / name for name in PLACES)):
        for text in lists(place):
            split = split_named(text.stem, domain or root.name)
            if split is not None:
                found[text] = split
    if domain is not None:
        return [(t, s) for t, s in found.items() if t.stem.lower().startswith(domain.lower())]
    for folder in folders_in(root):
        if (own := split_of(folder.name)) is not None:
            found |= {text: own for text in lists(folder) if split_named(text.stem, None) == ""}
    for place in (p / name for p in (root.parent, root.parent.parent) for name in ("", *PLACES)):
        for text in lists(place):
            if loose(text.stem).startswith(loose(root.name)) and text not in found:
                split = split_named(text.stem, root.name)
                found |= {} if split is None else {text: split}
    return list(found.items())


def wrappers(root: Path) -> list[str]:
    """Return inner folders with a usual name: ``images``, ``data``."""
    names = WRAPPERS.union(*(one.folders for one in modalities.media()))
    return [folder.name for folder in folders_in(root) if folder.name.lower() in names]


def lists(folder: Path) -> list[Path]:
    """Return the texts in a folder that may be lists of files."""
    return [path for path in files_in(folder) if is_list(path.name)]
