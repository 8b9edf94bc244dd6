"""Read ImageNet's ways: names of WordNet ids, and the labels of flat validation folders.

Names come from ``LOC_synset_mapping.txt``, ``synset_words.txt``, ``imagenet_class_index.json``, ``Labels.json``,
``words.txt`` or ``classes.txt``, labels from ``val_annotations.txt`` (tiny-imagenet) or ``LOC_val_solution.csv``.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from hubtl.data.classic.lines import content, files_in
from hubtl.data.layout import Layout, Part
from hubtl.data.names import listed
from hubtl.data.splits import split_of
from hubtl.data.walk import File, Walked
from hubtl.errors import HubtlError
from hubtl.io import plain

WNID = re.compile(r"n\d{8}")
# files of names, the first that is there is read
TEXTS = (r"LOC_synset_mapping\.txt", r"synset_words\.txt", r"imagenet_class_index\.json", r"Labels\.json")
MORE = (r"words\.txt", r"class(es|[_-]?names?)?\.txt")
UP = 3  # folders above: ILSVRC/Data/CLS-LOC/train lies so deep below its names
ANNOTATIONS = ("val_annotations.txt", "LOC_val_solution.csv")


def named(layout: Layout, root: Path) -> None:
    """Replace WordNet ids by their names.

    A file of names lies beside the folders or above. An id that it does not name stays.

    Raises:
        HubtlError: for a file that cannot be read.
    """
    met = sorted({name for part in layout.parts.values() for _, name in part.rows if name is not None})
    ids = [name for name in met if WNID.fullmatch(name)]
    if len(ids) < len(met) or not ids:
        return
    found = _names(root, ids)
    if found is None:
        layout.said.append(f"the labels are WordNet ids such as {ids[0]}: no file of names lies beside them")
        return
    names, by, others = found
    lacking = [one for one in ids if one not in names]
    layout.said.append(
        f"the {len(ids)} WordNet ids are named by {by}: {ids[0]} is {names.get(ids[0], ids[0])!r}"
        + (f"; without a name: {listed(lacking)}" if lacking else "")
        + (f"; not read: {listed(others)}" if others else "")
    )
    for part in layout.parts.values():
        part.rows = [(file, None if name is None else names.get(name, name)) for file, name in part.rows]


def _names(root: Path, ids: list[str]) -> tuple[dict[str, str], str, list[str]] | None:
    """Return names by ids, their file, and files not read."""
    for place in (root, *list(root.absolute().parents)[:UP]):
        there = [path.name for path in files_in(place)]
        tried = [name for pattern in (*TEXTS, *MORE) for name in there if re.fullmatch(pattern, name)]
        for name in tried:
            read = _read(place / name, ids)
            if read and any(one in read for one in ids):
                return _distinct(read, ids), name, [other for other in tried if other != name]
    return None


def _read(path: Path, ids: list[str]) -> dict[str, str]:
    """Return the words of each id; empty for a file of another form."""
    if path.suffix.lower() == ".json":
        try:
            found: Any = plain.json_of(path)
        except (OSError, ValueError) as error:
            raise HubtlError(f"{path.name} cannot be read: {error}", hint="mend the file, or move it out") from error
        items = found.items() if isinstance(found, dict) else ()
        pairs = [value if isinstance(value, list) and len(value) == 2 else [key, value] for key, value in items]
        return {str(key): str(value) for key, value in pairs if WNID.fullmatch(str(key)) and isinstance(value, str)}
    lines = [line.strip() for line in content(path, path.name) if line.strip()]
    found = [re.fullmatch(r"(n\d{8})[\s:,]+(.+)", line) for line in lines]
    if any(found):
        return {match.group(1): match.group(2).strip() for match in found if match}
    if len(lines) == len(ids) and not any(WNID.fullmatch(line) for line in lines):
        return dict(zip(ids, lines, strict=True))  # names alone, in the order of the sorted ids
    return {}


def _distinct(words: dict[str, str], ids: list[str]) -> dict[str, str]:
    """Return one name for each id: the first of its words, all of them or the id behind where two are alike."""
    own = {one: words[one] for one in ids if one in words}
    names = {one: text.split(",")[0].strip() for one, text in own.items()}
    names = {one: own[one] if one in _alike(names) else name for one, name in names.items()}
    return {one: f"{name} ({one})" if one in _alike(names) else name for one, name in names.items()}


def _alike(names: dict[str, str]) -> set[str]:
    """Return the ids whose name another has too."""
    counts = Counter(names.values())
    return {one for one, name in names.items() if counts[name] > 1}


def annotated(layout: Layout, walked: Walked) -> None:
    """Label the files of a flat split by its annotations."""
    for split, part in layout.parts.items():
        if not part.rows or any(name is not None for _, name in part.rows):
            continue
        found = _annotations(walked, part, split)
        if found is None:
            continue
        by, labels = found
        rows = [(file, labels.get(file.parts[-1], labels.get(_stem(file)))) for file, _ in part.rows]
        there = sum(name is not None for _, name in rows)
        if there:
            part.rows = list(rows)
            layout.said.append(f"{there} of {len(rows)} files of {split} are labelled by {by}")


def _annotations(walked: Walked, part: Part, split: str) -> tuple[str, dict[str, str]] | None:
    """Return a file of annotations, and labels by file names."""
    folders = {file.parts[:-1] for file, _ in part.rows}
    if len(folders) != 1:
        return None
    (folder,) = folders
    for depth in range(len(folder), -1, -1):
        path = Path(walked.root, *folder[:depth], ANNOTATIONS[0])
        if path.is_file():
            rows = [line.split("\t") for line in content(path, path.name) if line.strip()]
            return "/".join((*folder[:depth], path.name)), {row[0]: row[1] for row in rows if len(row) > 1}
    for place in (Path(walked.root), *list(Path(walked.root).parents)[:UP]):
        path = place / ANNOTATIONS[1]
        if "validation" in (split, split_of(walked.root.name)) and path.is_file():
            cells = [line.split(",", 1) for line in content(path, path.name)[1:] if "," in line]
            return path.name, {row[0]: row[1].split()[0] for row in cells if row[1].split()}
    return None


def _stem(file: File) -> str:
    return file.parts[-1].rsplit(".", 1)[0]
