"""Decide which folders are splits and which are classes.

Folders called ``train``, ``test`` and so on are splits if all their siblings are called so. The first level below is
the class. If both readings are possible, it is an error that shows them; the chosen reading is printed.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hubtl.data.names import listed, loose
from hubtl.data.splits import by_split, split_of
from hubtl.data.walk import File
from hubtl.errors import HubtlError
from hubtl.io.shown import plural, typed
from hubtl.plugins import modalities

WRAPPERS = frozenset({"data", "dataset"})  # and what modalities call the folders of their files
NAMELESS = frozenset({"unknown", "unlabelled", "unlabeled", "all"})


@dataclass
class Folder:
    """Hold the files in a folder, and its folders that hold any; ``total`` counts those below too."""

    name: str
    path: str
    files: list[File] = field(default_factory=list)
    folders: dict[str, "Folder"] = field(default_factory=dict)
    total: int = 0

    @property
    def below(self) -> int:
        return self.total - len(self.files)

    def everything(self) -> Iterable[File]:
        pending = [self]
        while pending:
            folder = pending.pop()
            yield from folder.files
            pending += reversed(folder.folders.values())


@dataclass
class Part:
    """Hold one split's rows and the files that are left out. Each row has its class or None."""

    rows: list[tuple[File, str | None]] = field(default_factory=list)
    beside: list[File] = field(default_factory=list)

    @property
    def classes(self) -> set[str]:
        return {name for _, name in self.rows if name is not None}


@dataclass
class Layout:
    """Hold the splits of a folder, and the messages about them."""

    parts: dict[str, Part]
    said: list[str] = field(default_factory=list)


def arrange(files: Sequence[File], path: str) -> Layout:
    """Arrange files into splits and classes by their folders.

    Args:
        files: the files.
        path: the folder as the user typed it.

    Raises:
        HubtlError: where two readings are possible.
    """
    said: list[str] = []
    top, lone = _unwrapped(_grown(files, path), said)
    splits = None if lone else _splits(top, said)
    if splits is None:
        crossed = None if lone else _split_classes(top, said)
        return Layout(crossed or {"train": _part(top, lone, said)}, said)
    if top.files:
        said.append(f"left out: {plural(len(top.files), 'file')} beside the splits")
    parts = {}
    known = {name for folder in splits.values() if len(folder.folders) > 1 for name in folder.folders}
    for split, folder in splits.items():
        lone = next(iter(folder.folders)) if len(folder.folders) == 1 else None
        inner, own = (folder, None) if lone in known else _unwrapped(folder, said, inside=True)
        parts[split] = _part(inner, own, said)
    for split, part in parts.items():
        if split != "train" and "train" in parts:
            _compare(split, part, parts["train"].classes, said)
    return Layout(parts, said)


def _compare(split: str, part: Part, known: set[str], said: list[str]) -> None:
    """Read a split without labels if its folders are unknown. None of them is a class of train.

    Raises:
        HubtlError: for a class with another spelling than in train.
    """
    written = {loose(name): name for name in sorted(known - part.classes)}
    for name in sorted(part.classes - known):
        if loose(name) in written:
            raise HubtlError(
                f"the splits train and {split} write a class differently: {listed([written[loose(name)], name], exact=True)}",
                hint="rename one of the two folders",
            )
    if known and part.classes and not part.classes & known and (len(known) > 1 or part.classes <= NAMELESS):
        said.append(
            f"the folders of {split} are none of the classes of train: {_named(sorted(part.classes))}; "
            f"{split} is read as unlabelled"
        )
        part.rows = [(file, None) for file, _ in part.rows]


def _grown(files: Sequence[File], path: str) -> Folder:
    top = Folder(os.path.basename(os.path.abspath(path)), path.rstrip("/") or "/")
    for file in files:
        folder = top
        folder.total += 1
        for part in file.parts[:-1]:
            folder = folder.folders.setdefault(part, Folder(part, f"{folder.path}/{part}"))
            folder.total += 1
        folder.files.append(file)
    return top


def _unwrapped(top: Folder, said: list[str], *, inside: bool = False) -> tuple[Folder, str | None]:
    """Return the folder of splits or classes. A single folder also gives the class.

    ``inside`` a split, a folder called like one is a wrapper: ``train/train/cat``.
    """
    chain: list[str] = []
    end = top
    while not end.files and len(end.folders) == 1:
        (name,) = end.folders
        if split_of(name) and not inside:
            break
        chain.append(name)
        end = end.folders[name]
    if not chain:
        return top, None
    within = "/".join(chain)
    wrappers = _wrappers()
    plain = [name for name in chain if name.lower() not in wrappers and not (inside and split_of(name))]
    if not plain or (not inside and _are_splits(end)):
        said.append(f"all lie in {within}/, which is read as no class")
        return end, None
    if len(plain) == 1 and (not end.folders or end.files):
        return end, plain[0]
    raise HubtlError(
        f"{top.name} holds one folder alone, {within}/"
        + (f", with {_named(end.folders)} in it" if end.folders else "")
        + f": {plain[0]} may be the class, or what is below it the classes",
        hint=f"give the folder {top.path}/{chain[0]} for the second; for the first, put its files into {chain[0]}/ itself",
    )


def _wrappers() -> frozenset[str]:
    return WRAPPERS.union(*(one.folders for one in modalities.media()))


def _are_splits(folder: Folder) -> bool:
    return bool(folder.folders) and all(map(split_of, folder.folders))


def _splits(top: Folder, said: list[str]) -> dict[str, Folder] | None:
    """Return the folders that are splits, by name; None where they are classes."""
    called = [name for name in top.folders if split_of(name)]
    others = [name for name in top.folders if name not in called]
    if not called or (not others and len(top.files) >= top.below):
        return None
    several = len({split_of(name) for name in called}) > 1
    deep = [name for name in called if top.folders[name].folders]
    if not others:
        flat = [name for name in called if name not in deep]
        if flat:
            said.append(f"{_named(flat)} hold no folders of classes: no labels come from folders")
    elif not deep and not several:
        return None  # a class that is called train
    else:
        known = {name for split in deep for name in top.folders[split].folders}
        if not (several and deep and all(known & top.folders[name].folders.keys() for name in others)):
            raise HubtlError(
                f"{top.name}: {_named(called)} may be splits, or classes beside {_named(others)}",
                hint=f"give the folder {top.path}/{called[0]}, or move {_named(others)} out, for splits; "
                "rename it, or leave no folders in it, for a class",
            )
        said.append(f"{_named(others)} hold the classes that the splits hold, and are read as splits")
    return {split: top.folders[name] for split, name in by_split(called, top.name).items()} | {
        name: top.folders[name] for name in others
    }


def _split_classes(top: Folder, said: list[str]) -> dict[str, Part] | None:
    """Return the parts of ``CLASS/train/IMAGE`` and ``CLASS/test/IMAGE``; None for other folders."""
    if top.files or not all(not f.files and _are_splits(f) for f in top.folders.values()) or not top.folders:
        return None
    inner = {name: by_split(f.folders, f"{top.name}/{name}") for name, f in top.folders.items()}
    first = min(inner)
    if any(top.folders[name].folders[own].folders for name, splits in inner.items() for own in splits.values()):
        raise HubtlError(
            f"{top.name} holds several folders with splits in them: {_named(top.folders)}",
            hint=f"give one of them: {top.path}/{first}",
        )
    said.append(f"classes are {_named(top.folders)}, and the folders in them splits")
    parts: dict[str, Part] = {}
    for name, splits in inner.items():
        for split, own in splits.items():
            rows = [(file, name) for file in top.folders[name].folders[own].files]
            parts.setdefault(split, Part()).rows.extend(rows)
    return parts


def _part(folder: Folder, lone: str | None, said: list[str]) -> Part:
    """Return the rows of a folder with its folders as classes.

    Without folders, or with fewer files in them than beside, the rows have no labels.
    """
    if lone is not None:
        return Part([(file, lone) for file in folder.everything()])
    if not folder.folders:
        return Part([(file, None) for file in folder.files])
    if len(folder.files) >= folder.below:
        said.append(
            f"{len(folder.files)} of {folder.total} files in {folder.name} lie beside its folders {_named(folder.folders)}: "
            "no labels come from folders"
        )
        return Part([(file, None) for file in folder.everything()])
    _refuse_domains(folder)
    wrappers = _wrappers()
    deep = [
        (name, inner)
        for name, f in folder.folders.items()
        for inner in f.folders
        if f.files or len(f.folders) > 1 or inner.lower() not in wrappers or f.folders[inner].folders
    ]
    if deep:
        count = sum(f.below for f in folder.folders.values())
        said.append(
            f"{count} of {folder.total} files in {folder.name} lie in folders of the class folders, such as "
            f"{'/'.join(deep[0])}/: the class is the first of the two ({deep[0][0]}); for {deep[0][1]} and the like as "
            f"classes, give the folder {folder.path}/{deep[0][0]}"
        )
    rows: list[tuple[File, str | None]] = [(f, name) for name, own in folder.folders.items() for f in own.everything()]
    return Part(rows, folder.files)


def _refuse_domains(folder: Folder) -> None:
    """Raise HubtlError for folders with equal subfolders: they are probably domains with classes."""
    homes = {name: _inner(own) for name, own in folder.folders.items()}
    inner = [frozenset(home.folders) for home in homes.values()]
    same = len(inner) > 1 and len(set(inner)) == 1 and not any(home.files for home in homes.values())
    wrapped = all(home is not folder.folders[name] for name, home in homes.items())
    if same and len(inner[0]) > (1 if wrapped else max(2, len(inner))):
        first = next(iter(folder.folders))
        raise HubtlError(
            f"{folder.name}: {_named(folder.folders)} hold the same folders each, {_named(sorted(inner[0]))}: "
            "the classes may be the first or the second",
            hint=f"give one of them, {folder.path}/{first}, or name it, --source-domain {typed(first)} (--target-domain), "
            "for the second; for the first, put the files of each class into one folder",
        )


def _inner(folder: Folder) -> Folder:
    """Return a folder, or the only one in it: ``amazon/images``."""
    only = next(iter(folder.folders.values())) if len(folder.folders) == 1 and not folder.files else None
    return only if only is not None and only.name.lower() in _wrappers() and only.folders else folder


def _named(names: Iterable[str]) -> str:
    shown = [f"{name}/" for name in names]
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")
