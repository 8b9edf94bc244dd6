"""Parse the inputs of ``hubtl predict`` and ``hubtl explain`` that are not only images."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DATA = ("domain_column", "image_column", "text_column", "audio_column", "label_column", "on_bad_sample")


def data_of(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return a command's flags about data as the section ``data`` of a recipe."""
    return {key: flags[key] for key in DATA}


def rows_of(
    inputs: list[str],
    modalities: tuple[str, ...],
    split: str | None,
    columns: Mapping[str, str | None],
    *,
    lenient: bool = False,
    each_file: bool = False,
) -> list[Any]:
    """Return datasets, and one row made of ``image=FILE``, ``audio=FILE`` or ``text=WORDS``.

    For a model of images or recordings alone files are rows too; with ``each_file`` those of a folder, by their names.

    Args:
        inputs: the arguments.
        modalities: the modalities of the model.
        split: the split of datasets.
        columns: the column of each modality; None finds it.
        lenient: skip what cannot be read.
        each_file: read the files of a folder as rows.
    """
    from hubtl.data.folders import files_of
    from hubtl.data.suffixes import IMAGES, SOUNDS
    from hubtl.errors import HubtlError, unknown

    row: dict[str, str] = {}
    found: list[Any] = []
    for text in inputs:
        modality, equals, value = text.partition("=")
        files = {"audio": SOUNDS, "image": IMAGES}.get(modalities[0], ()) if len(modalities) == 1 else ()
        if Path(text).suffix.lower() in files and Path(text).expanduser().is_file():
            found.append({modalities[0]: text})
            continue
        if each_file and split is None and files and is_folder_of(text, modalities[0]):
            found += files_of(Path(text).expanduser(), modalities[0])
            continue
        if not equals or not re.fullmatch(r"\w+", modality) or Path(text).expanduser().exists():
            found.append(_rows(text, modalities, split, columns, lenient=lenient))
            continue
        if modality not in modalities:
            raise unknown("modality of this model", modality, modalities)
        if modality in row:
            raise HubtlError(f"{modality} is given twice: a row has one", hint="one row at a time, or a dataset")
        if modality != "text" and not Path(value).expanduser().is_file():
            raise HubtlError(f"there is no file {value}", hint=f"{modality}=FILE")
        row[modality] = value
    return [row, *found] if row else found


def _rows(
    text: str, modalities: tuple[str, ...], split: str | None, asked: Mapping[str, str | None], *, lenient: bool
) -> Any:
    """Return a dataset with a column for each modality that it has, named like the modality."""
    from hubtl.data.columns import FINDERS
    from hubtl.errors import HubtlError

    dataset = split_of(text, split, modalities, asked, lenient=lenient)
    found = {}
    for modality in modalities:
        try:
            found[FINDERS[modality](dataset, asked[modality], text)] = modality
        except HubtlError:
            if asked[modality] is not None:
                raise
    if not found:
        raise HubtlError(f"{text} has no column for {' or '.join(modalities)}", hint=f"--{modalities[0]}-column NAME")
    return dataset.select_columns(list(found)).rename_columns(found)


def is_folder_of(text: str, kind: str) -> bool:
    """Return whether this is a folder of images or recordings, and no saved dataset."""
    from hubtl.data.walk import walk

    folder = Path(text).expanduser()
    if not folder.is_dir() or any((folder / name).exists() for name in ("state.json", "dataset_dict.json")):
        return False
    walked = walk(folder)
    if any(file.parts[-1].lower().endswith(".parquet") for file in walked.of("table")):
        return False
    return bool(walked.of(kind)) or not walked.of("table", "image", "audio")


def split_of(
    text: str,
    split: str | None,
    modalities: tuple[str, ...],
    columns: Mapping[str, str | None],
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
