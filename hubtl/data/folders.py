"""Read folders of images and recordings as datasets: list, arrange into splits and classes, count."""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, DatasetDict, DatasetInfo, Features
from datasets.table import InMemoryTable

from hubtl.data import tables
from hubtl.data.cells import Wanted
from hubtl.data.classic import imagenet, listed
from hubtl.data.layout import Layout, Part, arrange
from hubtl.data.metadata import Metadata, gather, is_metadata, joined
from hubtl.data.values import labelled
from hubtl.data.walk import File, Walked, walk
from hubtl.errors import HubtlError
from hubtl.io.shown import plural
from hubtl.plugins import modalities
from hubtl.settings import logger


def read(path: Path, wanted: Wanted) -> DatasetDict:
    """Read the splits of a folder.

    Raises:
        HubtlError: where it holds nothing to read, or is ambiguous.
    """
    walked = walk(path.resolve())
    if not walked.of(*_media()):
        held = [Path(walked.path(file)) for file in walked.of("table")]
        if not held:
            raise _nothing(walked)
        return tables.from_folder(held, walked.root, wanted)
    said: list[str] = []
    metadata = gather(walked, wanted, said)
    kinds = _kinds(walked, metadata, wanted)
    files = _leading(walked, kinds)
    layout = listed.arranged(walked, files, wanted.listed, lenient=wanted.lenient) or arrange(files, str(path))
    imagenet.annotated(layout, walked)
    imagenet.named(layout, walked.root)
    several = len(_classes(layout)) > 1
    for split, part in layout.parts.items():
        _by_metadata(split, part, metadata, said, several=several)
    layout.said += said
    _stray_tables(path, walked, layout, metadata)
    _say(walked, kinds, layout, metadata)
    return _made(walked, layout, kinds, metadata)


def read_list(path: Path, wanted: Wanted) -> DatasetDict:
    """Read a list of files, with the label of each.

    Raises:
        HubtlError: for a text that is none, and for a line whose file is missing.
    """
    walked, layout = listed.from_list(path, lenient=wanted.lenient)
    imagenet.named(layout, path.absolute().parent)
    kinds = _kinds(walked, (), wanted)
    layout.parts = {
        split: Part([row for row in part.rows if row[0].kind in kinds]) for split, part in layout.parts.items()
    }
    _say(walked, kinds, layout, (), path.name)
    return _made(walked, layout, kinds, ())


def _made(walked: Walked, layout: Layout, kinds: tuple[str, ...], metadata: Sequence[Metadata]) -> DatasetDict:
    names = sorted(_classes(layout))
    made = {
        split: _dataset(walked, part, split, kinds, names, metadata)
        for split, part in layout.parts.items()
        if part.rows
    }
    return DatasetDict(made)


def files_of(path: Path, kind: str) -> list[str]:
    """Return the paths of all files of a modality below a folder. Raises HubtlError where there are none."""
    plural = modalities.known(kind).plural
    walked = walk(path)
    found = [walked.path(file) for file in walked.of(kind)]
    if not found:
        raise HubtlError(
            f"{path} holds no {plural}" + (f"; it holds {also}" if (also := _held(walked)) else ""),
            hint=f"give a folder with {plural}",
        )
    layout = Layout({"all": Part([(file, None) for file in walked.of(kind)])})
    _say(walked, (kind,), layout, ())
    return found


def _media() -> list[str]:
    """Return the modalities whose cells are files; those of the first one lead the rows."""
    return [one.name for one in modalities.media()]


def _kinds(walked: Walked, metadata: Sequence[Metadata], wanted: Wanted) -> tuple[str, ...]:
    """Return the kinds of the rows: files of one modality, or of several by equal names."""
    there = tuple(kind for kind in _media() if walked.of(kind))
    named = {f.kind for f in walked.of(*there) if any(f.parts in m.rows for m in metadata)}
    asked = tuple(kind for kind in there if kind in wanted.modalities)
    return there if len(there) == 1 else tuple(named) if len(named) == 1 else asked or there[:1]


def _leading(walked: Walked, kinds: tuple[str, ...]) -> list[File]:
    """Return the files that make rows: of several kinds, one that is called as a file of an earlier kind is a cell of its row."""
    files = walked.of(*kinds)
    if len(kinds) == 1:
        return files
    leads: dict[tuple[str, ...], str] = {}
    for kind in kinds:
        for file in walked.of(kind):
            leads.setdefault(_stem(file), kind)
    return [file for file in files if leads[_stem(file)] == file.kind]


def _stem(file: File) -> tuple[str, ...]:
    return (*file.parts[:-1], os.path.splitext(file.parts[-1])[0])


def _classes(layout: Layout) -> set[str]:
    return set().union(*(part.classes for part in layout.parts.values()))


def _by_metadata(split: str, part: Part, metadata: Sequence[Metadata], said: list[str], *, several: bool) -> None:
    """Take labels from folders, or from metadata. Metadata are used where folders name fewer than two classes."""
    own = _labels(part, metadata)
    if not own:
        return
    if several:
        said.append(f"the classes of {split} are those of the folders; those of {own[0].shown} are beside them")
        return
    if part.classes:
        said.append(f"the classes of {split} are those of {own[0].shown}: {min(part.classes)}/ is read as none")
    rows = [(file, None) for file, _ in part.rows if any(file.parts in m.rows for m in own)]
    if len(rows) < len(part.rows):
        said.append(
            f"left out: {plural(len(part.rows) - len(rows), 'file')} of {split} without a row in {own[0].shown}"
        )
    part.rows = list(rows)


def _stray_tables(path: Path, walked: Walked, layout: Layout, metadata: Sequence[Metadata]) -> None:
    """Warn of tables beside files without labels; for parquet, raise an error that asks."""
    stray = [file for file in walked.of("table") if not (metadata and is_metadata(file))]
    packed = [file for file in stray if file.parts[-1].lower().endswith(".parquet")]
    classes = _classes(layout)
    if packed and len(classes) < 2:
        raise HubtlError(
            f"{path} holds {len(packed)} .parquet tables, such as {packed[0].shown}, beside images or recordings",
            hint=f"give one of them, {os.path.join(path, *packed[0].parts)}, or a folder without tables",
        )
    if stray and not classes and not any(_labels(part, metadata) for part in layout.parts.values()):
        layout.said.append(f"no labels; {stray[0].shown} is not read: give it as the dataset, if it holds them")


def _labels(part: Part, metadata: Sequence[Metadata]) -> list[Metadata]:
    """Return the metadata with labels of files of a split."""
    return [m for m in metadata if m.labelled and any(file.parts in m.rows for file, _ in part.rows)]


def _dataset(
    walked: Walked, part: Part, split: str, kinds: tuple[str, ...], classes: list[str], metadata: Sequence[Metadata]
) -> Dataset:
    rows = sorted(part.rows, key=lambda row: row[0].parts)
    files = [file for file, _ in rows]
    features = Features({kind: modalities.known(kind).feature() for kind in kinds})
    columns = {}
    for kind in kinds:
        beside = {_stem(file): file for file in walked.of(kind)} if kind != kinds[0] else {}
        cells = [file if file.kind == kind else beside.get(_stem(file)) for file in files]
        paths = pa.array([file and walked.path(file) for file in cells], pa.string())
        columns[kind] = pa.StructArray.from_arrays(
            [pa.nulls(len(paths), pa.binary()), paths], ["bytes", "path"], mask=paths.is_null()
        )
    if part.classes:
        features["label"] = labelled(classes)
        place: dict[str | None, int] = {name: i for i, name in enumerate(classes)}
        columns["label"] = pa.array([place.get(name) for _, name in rows], pa.int64())
    table = pa.table(columns)
    if (more := joined(metadata, files, list(features))) is not None:
        features |= more[1]
        for name in more[0].column_names:
            table = table.append_column(name, more[0][name])
    facts = [str(walked.root), split, classes, list(features), [[*file, name] for file, name in rows]]
    facts += [[m.shown, m.others._fingerprint] for m in metadata]
    mark = hashlib.blake2b(json.dumps(facts).encode(), digest_size=8).hexdigest()
    return Dataset(InMemoryTable(table), info=DatasetInfo(features=features), fingerprint=mark)


def _counted(number: int, reason: str) -> str:
    """Return a number with its reason, whose nouns are plural: ``1 broken link``, ``3 empty``."""
    return f"{number:,} {re.sub(r's(?= or |$)', '', reason) if number == 1 else reason}"


def _say(
    walked: Walked, kinds: tuple[str, ...], layout: Layout, metadata: Sequence[Metadata], name: str | None = None
) -> None:
    """Print how many of all files are used. It says what the others are."""
    name = name or walked.root.name or str(walked.root)
    rows = Counter(file.kind for file in {file for part in layout.parts.values() for file, _ in part.rows})
    whole = True
    for kind in kinds:
        there = len(walked.of(kind)) + sum(n for (k, _), n in walked.unused.items() if k == kind)
        used = rows[kind] if kind == kinds[0] else len(walked.of(kind))
        reasons = [_counted(n, reason) for (k, reason), n in sorted(walked.unused.items()) if k == kind]
        beside = [file for part in layout.parts.values() for file in part.beside]
        if beside:
            reasons.append(f"{len(beside)} beside the class folders, such as {beside[0].shown}")
        whole = whole and used == there
        left = f"; left out: {', '.join(reasons)}" if reasons else ""
        level = logger.info if used == there else logger.warning
        level("files      %s: %d of %d %s used%s", name, used, there, modalities.known(kind).called, left)
    if also := others(walked, kinds, metadata):
        logger.info("files      %s: also there: %s", name, also)
    for line in dict.fromkeys(layout.said):
        logger.warning("files      %s: %s", name, line)


def others(walked: Walked, kinds: Sequence[str], metadata: Sequence[Metadata] = ()) -> str:
    """List the other files beside those that are read, with counts."""
    suffixes = Counter(
        os.path.splitext(file.parts[-1])[1].lower() or "without a suffix"
        for file in walked.files
        if file.kind not in kinds and not (metadata and (is_metadata(file) or file.kind in _media()[1:]))
    )
    parts = [f"{n} {suffix}" for suffix, n in suffixes.most_common(6)]
    if len(suffixes) > 6:
        parts.append(f"{sum(suffixes.values()) - sum(n for _, n in suffixes.most_common(6))} of other kinds")
    if walked.hidden:
        parts.append(f"{walked.hidden} hidden or of the system")
    if bare := _bare(walked, kinds):
        parts.append(
            f"folders without any: {', '.join(map(_short, bare[:4]))}"
            + (f" and {len(bare) - 4} more" if bare[4:] else "")
        )
    if walked.closed:
        parts.append(
            f"folders that cannot be listed, links in a circle or to nothing: {', '.join(map(_short, walked.closed[:4]))}"
        )
    return ", ".join(parts)


def _short(path: str) -> str:
    return path if len(path) <= 60 else f"{path[:40]}…{path[-15:]}"


def _bare(walked: Walked, kinds: Sequence[str]) -> list[str]:
    """Return folders without files of these kinds at any depth; of nested ones the outer."""
    full = {file.parts[:depth] for file in walked.of(*kinds) for depth in range(len(file.parts))}
    bare = {folder for folder in walked.folders if folder not in full}
    return ["/".join(folder) + "/" for folder in walked.folders if folder in bare and folder[:-1] not in bare]


def _held(walked: Walked) -> str:
    """Describe the content of a folder that is not read."""
    plurals = {one.name: one.plural for one in modalities.media()}
    unused = [
        f"{n} {plurals[kind]} ({reason})" for (kind, reason), n in sorted(walked.unused.items()) if kind in plurals
    ]
    return ", ".join(filter(None, [*unused, others(walked, ())]))


def _nothing(walked: Walked) -> HubtlError:
    name = walked.root.name or str(walked.root)
    packed = any(file.parts[-1].lower().endswith((".zip", ".tar", ".gz", ".7z", ".rar")) for file in walked.files)
    return HubtlError(
        f"{name} holds neither images nor tables" + (f"; it holds {also}" if (also := _held(walked)) else ""),
        hint="unpack the archive" if packed else "an image folder has a sub-folder for each class",
    )
