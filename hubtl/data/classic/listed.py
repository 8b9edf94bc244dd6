"""Read folders by the lists of files that come with them.

Splits are those of the lists' names, labels those of their lines:

``image_list.txt`` (VisDA), ``clipart_train.txt`` (DomainNet), ``art_painting_train_kfold.txt`` (PACS), ``train.txt``.
"""

import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from hubtl.data.classic import numbers
from hubtl.data.classic.lines import Listing, Row, folders_in, kept, listing
from hubtl.data.classic.listfiles import PLACES, lists, split_named, texts, wrappers
from hubtl.data.layout import Layout, Part
from hubtl.data.names import listed
from hubtl.data.splits import split_of
from hubtl.data.suffixes import OTHER, TABLE, kind_of
from hubtl.data.walk import File, Walked
from hubtl.errors import HubtlError
from hubtl.io.shown import plural, typed

ALL = "all"  # the split of a list that has the rows of all others
ORDER = ("train", "trainval", "validation", "test")


def arranged(walked: Walked, files: Sequence[File], domain: str | None, *, lenient: bool) -> Layout | None:
    """Arrange a folder's files by its lists; None without lists.

    Lists lie in the folder or beside it.

    Args:
        walked: the folder's files.
        files: those that make rows.
        domain: a domain without a folder of its own, whose lists are meant.
        lenient: leave out lines whose file is missing.

    Raises:
        HubtlError: for a line whose file is missing, a file with two labels, and lists that contradict each other.
    """
    root = Path(walked.root)
    place = {f"{walked.root}/{file.shown}": file.parts for file in files}
    said: list[str] = []
    found: list[tuple[str, Listing]] = []
    for text, split in texts(root, domain):
        above = [str(text.parent), str(text.parent.parent), str(root), str(root.parent)]
        inside = [str(root / name) for name in wrappers(root)] + [str(root / text.stem)]
        shown = os.path.relpath(text, root)
        one = listing(text, shown, list(dict.fromkeys([*above, *inside])), place.get)
        if one is not None and any(split != known or one.rows != other.rows for known, other in found) | (not found):
            found.append((split, kept(one, lenient, said)))
    if not found:
        if domain is None:
            _refuse_domains(root)
        return None
    parts = _splits(found, said)
    known = {file.parts: file for file in files}
    labels = _labels([row for _, rows in parts for row in rows], [one for _, one in found], root, said)
    made = {
        split: Part(
            [(known[row.parts], None if row.label is None else labels.get(row.label, row.label)) for row in rows]
        )
        for split, rows in parts
    }
    used = {row.parts for _, rows in parts for row in rows}
    said.insert(0, f"read by {listed(one.shown for _, one in found)}: splits {listed(made)}")
    if used < known.keys():
        first = next(file.shown for file in files if file.parts not in used)
        said.append(f"left out: {plural(len(known) - len(used), 'file')} in no list, such as {first}")
    return Layout(made, said)


def from_list(path: Path, *, lenient: bool) -> tuple[Walked, Layout]:
    """Read a list of files that is the dataset itself.

    Raises:
        HubtlError: for a text that is no such list.
    """
    folder = path.absolute().parent
    bases = [str(folder), *map(str, list(folder.parents)[:2])]
    bases += [str(folder / name) for name in wrappers(folder)]
    root = os.path.commonpath(bases)

    def has(name: str) -> tuple[str, ...] | None:
        medium = kind_of(name) not in (TABLE, OTHER)
        return Path(name).relative_to(root).parts if medium and os.path.isfile(name) else None

    said: list[str] = []
    found = listing(path, path.name, bases, has)
    if found is None:
        raise HubtlError(
            f"{path.name} is no list of files: its first lines name none that is there",
            hint="lines of a path and a label, such as amazon/mug/1.jpg 7; paths are relative to the list's folder",
        )
    rows = kept(found, lenient, said).rows
    split = split_named(path.stem, folder.name) or next(filter(None, map(split_of, path.stem.split("_"))), None)
    walked = Walked(Path(root), [_file(root, row.parts) for row in _once(found.shown, rows)])
    labels = _labels(rows, [found], folder, said)
    known = {file.parts: file for file in walked.files}
    part = [(known[row.parts], None if row.label is None else labels.get(row.label, row.label)) for row in rows]
    return walked, Layout({split or "train": Part(part)}, said)


def _refuse_domains(root: Path) -> None:
    """Raise HubtlError for folders that have a list with a split each: they are domains, which has to be said."""
    names = [folder.name for folder in folders_in(root)]
    texts = [text for place in ("", *PLACES) for text in lists(root / place)]
    found = {
        name: text.name
        for name in names
        for text in texts
        if text.stem.lower().startswith(f"{name.lower()}_") and split_named(text.stem, name)
    }
    if len(found) > 1:
        first, by = next(iter(found.items()))
        raise HubtlError(
            f"{root.name} holds folders with lists of their own, such as {first}/ and {by}: {listed(found)} may be domains, "
            "or labels",
            hint=f"give one of them, {root / first}, or name it, --source-domain {typed(first)} (--target-domain); move the "
            "lists out for the second",
        )


def _file(root: str, parts: tuple[str, ...]) -> File:
    status = os.stat(os.path.join(root, *parts))
    return File(parts, kind_of(parts[-1]), status.st_size, status.st_mtime_ns)


def _splits(found: Sequence[tuple[str, Listing]], said: list[str]) -> list[tuple[str, list[Row]]]:
    """Return the rows of each split. A list of no split has those of its files' first folders."""
    parts: dict[str, list[Row]] = {}
    by: dict[str, str] = {}
    for split, one in found:
        rows = _once(one.shown, one.rows)
        if not split:
            tops = {row.parts[0] for row in rows if len(row.parts) > 1}
            within = {top: split_of(top) for top in tops}
            several = len(tops) > 1 and all(within.values())
            for row in rows:
                parts.setdefault(str(within[row.parts[0]]) if several else "train", []).append(row)
            continue
        if split in parts:
            raise HubtlError(f"{by[split]} and {one.shown} both list the split {split}", hint="move one of them out")
        parts[split], by[split] = rows, one.shown
    _check_labels(parts, by)
    files = {split: {row.parts for row in rows} for split, rows in parts.items()}
    for split in [s for s in parts if s != "train"]:
        others = set().union(*(own for name, own in files.items() if name != split))
        if len(parts) > 2 and others and others <= files[split]:
            said.append(f"{by[split]} lists the files of all other lists: it is read as the split {ALL}")
            parts = {ALL if name == split else name: rows for name, rows in parts.items()}
            break
    names = [name for name in parts if name not in (ALL, "trainval")]
    for i, one_split in enumerate(names):
        for other in names[i + 1 :]:
            if both := files.get(one_split, set()) & files.get(other, set()):
                said.append(f"in {one_split} and in {other}: {plural(len(both), 'file')}")
    return sorted(parts.items(), key=lambda part: ORDER.index(part[0]) if part[0] in ORDER else len(ORDER))


def _once(shown: str, rows: Iterable[Row]) -> list[Row]:
    """Return the rows without repeated lines. Raises HubtlError for a file with two labels."""
    met: dict[tuple[str, ...], Row] = {}
    for row in rows:
        before = met.setdefault(row.parts, row)
        if before.label != row.label:
            raise HubtlError(
                f"{shown}: {'/'.join(row.parts)} is {before.label} in line {before.line} and {row.label} in line {row.line}",
                hint="leave one of them",
            )
    return list(met.values())


def _check_labels(parts: dict[str, list[Row]], by: dict[str, str]) -> None:
    met: dict[tuple[str, ...], tuple[str, str | None]] = {}
    for split, rows in parts.items():
        for row in rows:
            before = met.setdefault(row.parts, (split, row.label))
            if before[1] != row.label and None not in (before[1], row.label):
                raise HubtlError(
                    f"{'/'.join(row.parts)} is {before[1]} in {by.get(before[0], before[0])} and {row.label} in "
                    f"{by.get(split, split)}",
                    hint="mend one of the lists, or move it out",
                )


def _labels(rows: Sequence[Row], read: Sequence[Listing], root: Path, said: list[str]) -> dict[str, str]:
    """Return the name of each number; empty where labels are names already, or numbers stay."""
    met = {row.label for row in rows if row.label is not None}
    called = listed(one.shown for one in read)
    if not met or not numbers.are_numbers(rows):
        return {}
    places, apart = numbers.by_folders(rows)
    for place in (root, root.parent):
        if (named := numbers.by_file(place, {str(number) for number in met})) is not None:
            numbers.check_agree(named[0], places, named[1])
            said.append(f"the numbers of {called} are named by {named[1]}")
            return named[0]
    if places:
        more = f"; in a folder of another number: {plural(apart, 'row')} of {len(rows)}" if apart else ""
        said.append(f"the numbers of {called} are named by the folders of their files{more}")
        return places
    if (beside := _beside(root, {str(number) for number in met}, read)) is not None:
        said.append(f"the numbers of {called} are named as in {beside[1]}, by its folders")
        return beside[0]
    said.append(f"the labels of {called} are numbers, which nothing names: they stay")
    return {}


def _beside(root: Path, met: set[str], read: Sequence[Listing]) -> tuple[dict[str, str], str] | None:
    """Return names of numbers by lists of neighbouring folders.

    Such as ``../train/image_list.txt``.

    Raises:
        HubtlError: where two of them name a number differently.
    """
    own = {one.shown for one in read}
    found: tuple[dict[str, str], str] | None = None
    for folder in folders_in(root.parent):
        for text in lists(folder):
            shown = os.path.relpath(text, root)
            if shown in own or folder == root or split_named(text.stem, folder.name) is None:
                continue
            one = listing(text, shown, [str(folder), str(root.parent)], partial(_tail, root.parent))
            names = {} if one is None else numbers.by_folders(one.rows)[0]
            if one is None or not met <= names.keys():
                continue
            if found is not None and any(found[0][number] != names[number] for number in met):
                raise HubtlError(f"{found[1]} and {shown} name the numbers differently", hint="move one of them out")
            found = found or (names, shown)
    return found


def _tail(root: Path, name: str) -> tuple[str, ...] | None:
    """Return a path's parts below a folder; the file may be missing."""
    try:
        return Path(name).relative_to(root).parts if kind_of(name) not in (TABLE, OTHER) else None
    except ValueError:
        return None
