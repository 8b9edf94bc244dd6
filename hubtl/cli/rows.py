"""Parse the inputs of ``hubtl predict`` and ``hubtl explain`` that are not only images."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DATA = ("domain_column", "label_column", "on_bad_sample")


def data_of(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return a command's data flags as a recipe's section ``data``."""
    return {key: flags[key] for key in DATA} | {"columns": columns_of(flags["column"])}


def columns_of(pairs: list[str] | None) -> dict[str, str]:
    """Return ``--column MODALITY=NAME``, repeated, as a mapping. Raises HubtlError for another form."""
    from hubtl.errors import HubtlError
    from hubtl.recipe.columns import parsed

    try:
        return dict(parsed(pairs) or {})
    except ValueError as error:
        raise HubtlError(f"--column: {error}", hint="--column image=NAME") from error


def rows_of(
    inputs: list[str],
    modalities: tuple[str, ...],
    split: str | None,
    columns: Mapping[str, str],
    *,
    lenient: bool = False,
    each_file: bool = False,
) -> list[Any]:
    """Return datasets, and one row made of ``image=FILE``, ``audio=FILE`` or ``text=WORDS``.

    For a model of one modality its files are rows too; with ``each_file`` those of a folder, by their names.

    Args:
        inputs: the arguments.
        modalities: the modalities of the model.
        split: the split of datasets.
        columns: the columns that the user named, by modality.
        lenient: skip what cannot be read.
        each_file: read the files of a folder as rows.
    """
    from hubtl.data.columns import check_taken
    from hubtl.data.folders import files_of
    from hubtl.data.inputs import typed_cell
    from hubtl.errors import HubtlError, unknown
    from hubtl.io.places import there
    from hubtl.io.shown import line
    from hubtl.plugins.modalities import of

    check_taken(columns, modalities)
    row: dict[str, Any] = {}
    found: list[Any] = []
    for text in inputs:
        modality, equals, value = text.partition("=")
        files = of(modalities[0]).suffixes if len(modalities) == 1 else ()
        if Path(text).suffix.lower() in files and there(text) and Path(text).expanduser().is_file():
            found.append(text if each_file else {modalities[0]: text})
            continue
        if Path(text).suffix.lower() in files and not equals and not there(text):
            raise HubtlError(f"there is no file or folder {Path(text).expanduser()}", hint="mind the path")
        if each_file and split is None and files and is_folder_of(text, modalities[0]):
            found += files_of(Path(text).expanduser(), modalities[0])
            continue
        tabular = next((one for one in modalities if of(one).tabular), None)
        if tabular and text.lstrip()[:1] in ("[", "{") and not there(text):  # a cell, typed without its modality
            raise HubtlError(
                f"{line(text[:40])!r} is no file, folder or dataset; a typed cell follows the name of its modality",
                hint=f"{tabular}='[0.1, 0.2]'",
            )
        if not equals or not re.fullmatch(r"\w+", modality) or there(text):
            found.append(_rows(text, modalities, split, columns, lenient=lenient))
            continue
        if modality not in modalities:
            raise unknown("modality of this model", modality, modalities)
        if modality in row:
            raise HubtlError(f"{modality} is given twice: a row has one", hint="one row at a time, or a dataset")
        if of(modality).suffixes and not (there(value) and Path(value).expanduser().is_file()):
            raise HubtlError(f"there is no file {value}", hint=f"{modality}=FILE")
        row[modality] = typed_cell(modality, value)
    return [row, *found] if row else found


def _rows(text: str, modalities: tuple[str, ...], split: str | None, asked: Mapping[str, str], *, lenient: bool) -> Any:
    """Return a dataset with a column for each of its modalities. Columns are called like the modality."""
    from hubtl.errors import HubtlError
    from hubtl.plugins.modalities import of

    dataset = split_of(text, split, modalities, asked, lenient=lenient)
    found = {}
    for modality in modalities:
        try:
            found[of(modality).column(dataset, asked.get(modality), text)] = modality
        except HubtlError:
            if modality in asked or len(modalities) == 1:
                raise
    if not found:
        raise HubtlError(f"{text} has no column for {' or '.join(modalities)}", hint=f"--column {modalities[0]}=NAME")
    return dataset.select_columns(list(found)).rename_columns(found)


def is_folder_of(text: str, kind: str) -> bool:
    """Return whether this is a folder of files of a modality. A saved dataset is none."""
    from hubtl.data.classic import is_whole
    from hubtl.data.walk import walk
    from hubtl.plugins.modalities import media

    folder = Path(text).expanduser()
    if not folder.is_dir() or any((folder / name).exists() for name in ("state.json", "dataset_dict.json")):
        return False
    if is_whole(folder):
        return False
    walked = walk(folder)
    if any(file.parts[-1].lower().endswith(".parquet") for file in walked.of("table")):
        return False
    return bool(walked.of(kind)) or not walked.of("table", *(one.name for one in media()))


def split_of(
    text: str,
    split: str | None,
    modalities: tuple[str, ...],
    columns: Mapping[str, str],
    *,
    lenient: bool = False,
) -> Any:
    from hubtl.data.cells import Wanted
    from hubtl.data.opening import opened
    from hubtl.errors import unknown

    splits = opened(text, Wanted(modalities, columns, lenient)).splits
    name = split or next((s for s in ("test", "validation", "train") if s in splits), next(iter(splits)))
    if name not in splits:
        raise unknown(f"split of {text}", name, splits)
    return splits[name]
