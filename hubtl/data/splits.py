"""Recognise splits by the names of folders and tables, in any case."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from hubtl.errors import HubtlError

SPLITS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("validation", "val", "valid", "dev", "eval", "evaluation"),
}
WORDS = {word: split for split, words in SPLITS.items() for word in words}
ENDS = re.compile(r"[-_ ]?(set|data|dataset|split|images|imgs|(19|20)\d\d)$")  # training_set, val2017


def split_of(name: str) -> str | None:
    """Return the split that a name means, or None. A folder or a table has the name, in any case."""
    word = name.strip().lower()
    return WORDS.get(word) or WORDS.get(ENDS.sub("", word))


def by_split(names: Iterable[str], where: str) -> dict[str, str]:
    """Map each split to its name.

    Raises:
        HubtlError: where two names mean the same split.
    """
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (name.lower().startswith("eval"), name)):
        split = split_of(name) or name
        if split in found and name.lower().startswith("eval") and "test" not in found:
            split = "test"  # beside one for validation
        if split in found:
            raise HubtlError(
                f"{where}: {found[split]} and {name} both name the split {split}", hint="rename one, or move it out"
            )
        found[split] = name
    return {split: found[split] for split in SPLITS if split in found}


def split_names(tables: Sequence[Path], root: Path) -> dict[Path, str]:
    """Return the split of each table: ``train-00000-of-00001``, ``Train`` and ``train/0`` mean train.

    Only a split's word alone counts: ``bullet_train`` is no split. If all names start alike and end in different
    splits' words, as those of ``mnist_train`` and ``mnist_test`` do, the ends count. Any other name is its own split.
    """
    stems = {file: re.split(r"[-_.](?=\d)", file.stem)[0] for file in tables}
    ends = {file: re.fullmatch(r"(.*)[-_.]([A-Za-z]+)", stem) for file, stem in stems.items()}
    starts = {end and end.group(1) for end in ends.values()}
    words = {WORDS.get(end.group(2).lower()) if end else None for end in ends.values()}
    alike = len(starts) == 1 and len(words) > 1 and None not in words
    found = {}
    for file, stem in stems.items():
        end = ends[file]
        own = split_of(stem) or (WORDS[end.group(2).lower()] if alike and end else None)
        above = map(split_of, file.relative_to(root).parts[:-1])
        plain = stem.isdigit() or stem.lower() in ("metadata", "data") or len(stem) == 1
        found[file] = next(filter(None, above), None) or own or ("train" if plain else stem)
    return found
