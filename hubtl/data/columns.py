"""Columns of a dataset by their names and types: what the modalities and tasks find theirs with."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datasets import Dataset, Value

from hubtl.data.names import composed
from hubtl.errors import HubtlError, nearest, unknown


def header(dataset: Dataset, name: str) -> str | None:
    """Return a column by its name. Case, Unicode form and outer spaces are ignored.

    None where there is none, or several.
    """
    if name in dataset.features:
        return name
    alike = [other for other in dataset.features if _bare(other) == _bare(name)]
    return alike[0] if len(alike) == 1 else None


def headers(dataset: Dataset, asked: str | Sequence[str]) -> list[str]:
    """Return columns by their names: one, a list, or several separated by commas.

    Empty where one is missing.
    """
    names = [asked] if isinstance(asked, str) else list(asked)
    if isinstance(asked, str) and header(dataset, asked) is None and "," in asked:
        names = [name.strip() for name in asked.split(",") if name.strip()]
    found = [header(dataset, name) for name in names]
    return [name for name in found if name is not None] if all(found) else []


def _bare(name: str) -> str:
    return composed(composed(name).strip().casefold())


def usual(names: Iterable[str], known: Sequence[str]) -> list[str]:
    """Return the usual names, in the order of ``known``. Case, Unicode form and outer spaces are ignored."""
    rank = {name: place for place, name in enumerate(known)}
    return sorted((name for name in names if _bare(name) in rank), key=lambda n: (rank[_bare(n)], n != _bare(n)))


def existing(dataset: Dataset, name: str, what: str, where: str, *, flag: str = "--label-column ") -> str:
    """Return a column that was asked for with a flag. Raises HubtlError where there is none of that name."""
    found = header(dataset, name)
    if found is None:
        error = unknown(f"{what} column of {where}", name, dataset.column_names)
        guess = nearest(name, dataset.column_names)
        error.hint = f"{flag}{guess}" if guess else error.hint
        raise error
    return found


def of_files(dataset: Dataset, name: str, what: str, where: str) -> str:
    """Return a column whose cells can be files: encoded, their bytes, or their names.

    Raises:
        HubtlError: for one of another type, such as numbers or class labels.
    """
    feature = dataset.features[name]
    encoded = "bytes" in feature or "path" in feature if isinstance(feature, dict) else hasattr(feature, "decode")
    binary = isinstance(feature, Value) and feature.dtype in ("binary", "large_binary")
    if not (encoded or binary or is_string(feature)):
        raise HubtlError(
            f"{where}: column {name!r} holds no {what} files: its type is {type(feature).__name__}",
            hint=f"--column {what}=NAME; its columns: {_described(dataset)}",
        )
    return name


def check_taken(columns: Mapping[str, str | None] | None, takes: Sequence[str]) -> None:
    """Raise HubtlError for a column of a modality that a model lacks."""
    for name, column in (columns or {}).items():
        if column is not None and name not in takes:
            raise HubtlError(
                f"--column {name}={column}: the model takes {' and '.join(takes)}, and no {name}",
                hint=f"--column {takes[0]}={column}" if len(takes) == 1 else "leave it out",
            )


def only(found: Sequence[str], known: Sequence[str], what: str, dataset: Dataset, where: str) -> str:
    """Return a modality's only column, or the one of a usual name. Raises HubtlError where that is none."""
    if len(found) > 1:
        found = usual(found, known)[:1] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise HubtlError(f"{where} has several {what} columns: {', '.join(found)}", hint=f"--column {what}={found[0]}")
    raise HubtlError(
        f"{where} has no {what} column; its columns: {_described(dataset)}", hint=f"--column {what}=NAME, or other data"
    )


def is_string(feature: Any) -> bool:
    """Return whether a column holds texts."""
    return isinstance(feature, Value) and feature.dtype in ("string", "large_string")


def first_cells(dataset: Dataset, name: str) -> list[str]:
    """Return the first cells of a column with something in them; no other column is decoded."""
    cells = dataset.select_columns([name]).select(range(min(20, len(dataset))))[name]
    return [cell for cell in cells if isinstance(cell, str) and cell.strip()]


def _described(dataset: Dataset) -> str:
    return ", ".join(f"{name} ({type(feature).__name__})" for name, feature in dataset.features.items())
