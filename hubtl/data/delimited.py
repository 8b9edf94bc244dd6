"""Read CSV and TSV files and keep the text of cells; columns are numbers only if all of it is.

A library's reader takes cells such as ``NA`` or ``None`` for missing, and infers types for each part of a file. Here
every cell is read as text first. A column of integers or decimals becomes numbers, in which ``NA`` and the like are
missing. In any other column they are plain text, and only an empty cell is missing.
"""

import csv
import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from hubtl.data.names import MISSING
from hubtl.data.suffixes import is_medium
from hubtl.errors import HubtlError
from hubtl.settings import logger

INTEGER = r"^\s*-?(0|[1-9][0-9]{0,17})\s*$"
CODE = r"^[0-9]+([eE][0-9]+)?$"  # 1E5 among such is a name: 1E5 and 100000 are two
DECIMAL = r"^\s*-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$"
LONG = r"^\s*-?[0-9]{16,}\s*$"  # would lose digits as a decimal
ROWS = 20_000  # read at a time


def read(groups: Sequence[Sequence[Path]], separator: str) -> list[Dataset]:
    """Read groups of files, each group as one dataset.

    All files of all groups decide the type of a column.

    Args:
        groups: files of each dataset, in order.
        separator: the separator of cells.

    Raises:
        HubtlError: for a file that does not parse, or that has other columns than the first one of its group.
    """
    joined = [_joined([_text(path, separator) for path in paths], paths) for paths in groups]
    names = dict.fromkeys(name for table in joined for name in table.column_names)
    types = {name: _type([t[name] for t in joined if name in t.column_names]) for name in names}
    found = []
    for table, paths in zip(joined, groups, strict=True):
        typed = pa.table({name: _typed(table[name], *types[name]) for name in table.column_names})
        _say_merged(table, typed, paths[0].name)
        mark = hashlib.blake2b(str(typed.schema).encode(), digest_size=16)
        for path in paths:
            mark.update(path.read_bytes())
        found.append(Dataset(typed, fingerprint=mark.hexdigest()))
    return found


def _text(path: Path, separator: str) -> pa.Table:
    options: Any = {"sep": separator, "dtype": str, "na_filter": False, "keep_default_na": False, "index_col": False}
    parts = []
    _look_at_header(path, separator)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with more cells than the header has
            for frame in pd.read_csv(path, chunksize=ROWS, **options):
                bare = [str(name).strip() for name in frame.columns]
                frame.columns = bare if len(set(bare)) == len(bare) else [str(name) for name in frame.columns]
                columns = {name: pa.array(frame[name], pa.string(), from_pandas=True) for name in frame.columns}
                parts.append(pa.table(columns))
    except (ValueError, pd.errors.ParserWarning, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise HubtlError(f"{path.name} does not load: {said}", hint="mend the file") from error
    return pa.concat_tables(parts)


def _look_at_header(path: Path, separator: str) -> None:
    """Raise HubtlError where the first line is no header. A header is UTF-8 with this separator.

    The message lists columns with equal names.
    """
    with path.open("rb") as file:
        line = file.readline(2**16).removeprefix(b"\xef\xbb\xbf")
    if line.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in line:
        raise HubtlError(f"{path.name} is not in UTF-8, but in UTF-16 or another code", hint="save it as UTF-8")
    try:
        names = next(csv.reader([line.decode()], delimiter=separator), [])
    except (UnicodeDecodeError, csv.Error):
        return  # what is wrong with it is said when it is read
    others = [mark for mark in ",;\t|" if mark != separator and len(names) == 1 and mark in names[0]]
    if others:
        raise HubtlError(
            f"{path.name}: its columns are divided by {others[0]!r}, not by {separator!r}",
            hint="a .tsv file has tabs, a .csv file commas",
        )
    files = [name for name in names if is_medium(name.strip())]
    if files:
        raise HubtlError(
            f"{path.name} has no header: its first line names the file {files[0].strip()[:60]}",
            hint="write a first line such as image,label",
        )
    twice = [name for name, count in Counter(name.strip() for name in names if name.strip()).items() if count > 1]
    if twice:
        logger.warning("files      %s: several columns are called %s: the first is read as it", path.name, twice[0])


def _joined(parts: list[pa.Table], paths: Sequence[Path]) -> pa.Table:
    """Join a split's parts under the headers of the first. Headers may differ in case and order."""
    first, same = parts[0], []
    for part, path in zip(parts, paths, strict=True):
        headers = {name.lower(): name for name in part.column_names}
        if {name.lower() for name in first.column_names} != set(headers) or len(headers) != len(part.column_names):
            if part.column_names != first.column_names:
                raise HubtlError(
                    f"{path.name} has the columns {', '.join(part.column_names)}, and {paths[0].name} "
                    f"{', '.join(first.column_names)}",
                    hint="the files of a split need the same header; name others after their split",
                )
            same.append(part)
        else:
            found = {name: part[headers[name.lower()]] for name in first.column_names}
            same.append(pa.table(found))
    return pa.concat_tables(same)


def _type(columns: Sequence[pa.ChunkedArray]) -> tuple[pa.DataType, bool]:
    """Return a column's type in all splits, and a flag.

    The flag says whether ``MISSING`` words are missing cells in it.
    """
    cells = pa.chunked_array([pc.unique(column).drop_null() for column in columns], pa.string())
    empty = pc.equal(pc.utf8_trim_whitespace(cells), "")
    told = pc.filter(cells, pc.invert(pc.or_(empty, pc.is_in(cells, value_set=pa.array(MISSING)))))
    if not len(told):
        return pa.string(), False
    if pc.all(pc.match_substring_regex(told, INTEGER)).as_py():
        return pa.int64(), True
    if pc.all(pc.match_substring_regex(told, CODE)).as_py():  # and not all are integers
        return pa.string(), False
    exact = not pc.any(pc.match_substring_regex(told, LONG)).as_py()
    if exact and pc.all(pc.match_substring_regex(told, DECIMAL)).as_py():
        return pa.float64(), True
    return pa.string(), is_medium(told[0].as_py())  # a file is not called NA


def _say_merged(texts: pa.Table, typed: pa.Table, where: str) -> None:
    """Note whole numbers written in two ways, such as 1 and 1.0: as classes they are one."""
    for name in typed.column_names:
        if typed[name].type != pa.float64():
            continue
        pairs = pa.table({"number": typed[name], "text": pc.utf8_trim_whitespace(texts[name])})
        pairs = pairs.group_by(["number", "text"]).aggregate([]).drop_null()
        numbers = pairs["number"].to_pylist()
        if len(set(numbers)) == len(numbers) or any(number % 1 for number in numbers):
            continue
        number = next(n for n in numbers if numbers.count(n) > 1)
        ways = sorted(text for n, text in zip(numbers, pairs["text"].to_pylist(), strict=True) if n == number)
        logger.warning("files      %s: column %r: %s are the same number", where, name, " and ".join(ways))


def _typed(column: pa.ChunkedArray, kind: pa.DataType, words: bool) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(column)
    missing = pc.equal(trimmed, "")
    if words:
        missing = pc.or_(missing, pc.is_in(trimmed, value_set=pa.array(MISSING)))
    kept = pc.if_else(missing, pa.scalar(None, pa.string()), column if kind == pa.string() else trimmed)
    return kept if kind == pa.string() else pc.cast(kept, kind)
