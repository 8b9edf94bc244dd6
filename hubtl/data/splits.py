"""The words that name splits, in any case: what folders and tables are called."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from hubtl.errors import HubtlError

SPLITS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("validation", "val", "valid", "dev", "eval", "evaluation"),
}
SPLIT_OF = {word: split for split, words in SPLITS.items() for word in words}


def by_split(names: Iterable[str], where: str) -> dict[str, str]:
    """Split -> the name that says so. Raises HubtlError where two names say the same split."""
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (name.lower().startswith("eval"), name)):
        split = SPLIT_OF[name.lower()]
        if split in found and name.lower().startswith("eval") and "test" not in found:
            split = "test"  # beside one for validation
        if split in found:
            raise HubtlError(
                f"{where}: {found[split]} and {name} both name the split {split}", hint="rename one, or move it out"
            )
        found[split] = name
    return {split: found[split] for split in sorted(found, key=list(SPLITS).index)}


def split_names(tables: Sequence[Path], root: Path) -> dict[Path, str]:
    """Which split each table is of: ``train-00000-of-00001``, ``Train`` and ``train/0`` are of train.

    A split's word counts alone: ``bullet_train`` is no split. Where all names begin alike and end in different splits'
    words, as those of ``mnist_train`` and ``mnist_test`` do, the ends count. Any other name is a split of its own.
    """
    stems = {file: re.split(r"[-_.](?=\d)", file.stem)[0] for file in tables}
    ends = {file: re.fullmatch(r"(.*)[-_.]([A-Za-z]+)", stem) for file, stem in stems.items()}
    starts = {end and end.group(1) for end in ends.values()}
    words = {SPLIT_OF.get(end.group(2).lower()) if end else None for end in ends.values()}
    alike = len(starts) == 1 and len(words) > 1 and None not in words
    found = {}
    for file, stem in stems.items():
        end = ends[file]
        own = SPLIT_OF.get(stem.lower()) or (SPLIT_OF[end.group(2).lower()] if alike and end else None)
        above = (SPLIT_OF[part.lower()] for part in file.relative_to(root).parts[:-1] if part.lower() in SPLIT_OF)
        plain = stem.isdigit() or stem.lower() in ("metadata", "data") or len(stem) == 1
        found[file] = next(above, None) or own or ("train" if plain else stem)
    return found
