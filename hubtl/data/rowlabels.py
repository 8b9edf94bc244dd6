"""Read and write labels of single rows in a CSV file: row number, content, and label."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from hubtl.data.cells import file_name
from hubtl.data.content import undecoded
from hubtl.data.origin import numbers
from hubtl.errors import HubtlError
from hubtl.io import files, jsontext, plain

ROW, LABEL = "row", "label"
LARGEST = 2**28  # bytes
HINT = "a file as hubtl label RUN --export writes it, with a label beside each row"


@dataclass(frozen=True)
class Given:
    """Hold one line of a file: a row's number and label; an empty label is not given yet."""

    line: int
    row: int
    shown: Mapping[str, str]  # modality -> file name or text
    label: str


def shown(dataset: Dataset, columns: Mapping[str, str], positions: Sequence[int]) -> list[dict[str, str]]:
    """Return what identifies rows for a person: modality -> text, or the name of a file.

    Modalities without either are left out.
    """
    rows = undecoded(dataset.select_columns(list(columns.values())).with_format(None)).select(list(positions))
    return [{m: text for m, column in columns.items() if (text := _shown(row[column]))} for row in rows]


def _shown(cell: Any) -> str:
    if isinstance(cell, str):
        return jsontext.whole(" ".join(cell.split()))
    named = isinstance(cell, Mapping) and cell.get("path")
    return jsontext.whole(file_name(cell)) if named else ""


def write(path: Path, rows: Iterable[tuple[int, Mapping[str, str], str]], modalities: Sequence[str]) -> None:
    """Write rows as ``row``, a column for each modality, and ``label``."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([ROW, *modalities, LABEL])
    for row, cells, label in rows:
        writer.writerow([row, *(cells.get(m, "") for m in modalities), label])
    files.write(path, buffer.getvalue())


def read(path: Path) -> list[Given]:
    """Read a file with columns in any order. They are separated by commas, semicolons or tabs.

    Raises:
        HubtlError: for missing columns ``row`` and ``label``, a row that is no number, and a row with two labels. The
            message names the line.
    """
    try:
        text = plain.text_of(path, LARGEST).removeprefix("\ufeff")
    except FileNotFoundError as error:
        raise HubtlError(f"there is no file {path}", hint="mind the path") from error
    except (OSError, ValueError) as error:
        raise HubtlError(f"{path.name} cannot be read: {error}", hint="a CSV file in UTF-8") from error
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise HubtlError(f"{path.name}, line {reader.line_num}: {error}", hint="mend the file") from error
    if missing := [name for name in (ROW, LABEL) if header.count(name) != 1]:
        raise HubtlError(f"{path.name} has no column {missing[0]!r}, or several", hint=HINT)
    found: dict[int, Given] = {}
    for line, cells in lines:
        by_name = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        given = Given(line, _number(by_name[ROW], path, line), by_name, by_name.get(LABEL, ""))
        before = found.get(given.row)
        if before and before.label and given.label and before.label != given.label:
            raise HubtlError(
                f"{path.name}: row {given.row} is {before.label!r} in line {before.line} and {given.label!r} in line {line}",
                hint="leave one of them",
            )
        if before is None or not before.label:
            found[given.row] = given
    return list(found.values())


def _number(text: str, path: Path, line: int) -> int:
    whole = text.removesuffix(".0")  # as a spreadsheet may write it
    if not whole.isdecimal():
        raise HubtlError(f"{path.name}, line {line}: {text[:40]!r} is not the number of a row", hint=HINT)
    return int(whole)


def positions(given: Sequence[Given], dataset: Dataset, columns: Mapping[str, str], path: Path) -> list[int]:
    """Return the position of each row in a dataset.

    Raises:
        HubtlError: for a row that is missing, or has other content.
    """
    place = {int(number): position for position, number in enumerate(numbers(dataset))}
    for one in given:
        if one.row not in place:
            raise HubtlError(
                f"{path.name}, line {one.line}: there is no row {one.row} among the rows to learn from",
                hint="a file that was exported for these data",
            )
    found = [place[one.row] for one in given]
    for one, cells in zip(given, shown(dataset, columns, found), strict=True):
        for modality, text in cells.items():
            told = " ".join(one.shown.get(modality, "").split())
            if told and told != text:
                raise HubtlError(
                    f"{path.name}, line {one.line}: row {one.row} is {text[:60]!r}, and not {told[:60]!r}",
                    hint="a file that was exported for these data, its rows not renumbered",
                )
    return found


def row_numbers(dataset: Dataset, positions: Sequence[int]) -> np.ndarray:
    """Return the number of each row in the opened data, int64 [n]."""
    return numbers(dataset)[np.asarray(list(positions), dtype=np.int64)]
