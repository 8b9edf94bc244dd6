"""Yield named rows of whatever ``predict`` takes.

They have several modalities, or one that is no image: one named row after another.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from hubtl.data.content import undecoded
from hubtl.errors import HubtlError, unknown
from hubtl.io import shown
from hubtl.plugins import modalities


def each_row(inputs: Any, takes: Sequence[str]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield names and rows (modality -> cell) of whatever ``predict`` takes. The model ``takes`` some modalities.

    With one modality, a row may also be the content of its cell: a text, a file, an array with its rate, or bytes.

    Args:
        inputs: the inputs.
        modalities: the modalities of the model.
    """
    if len(takes) == 1 and not isinstance(inputs, Dataset) and _is_cell(inputs, takes[0]):
        named = not modalities.known(takes[0]).words and isinstance(inputs, str | Path)
        yield str(inputs) if named else "row", {takes[0]: inputs}
    elif isinstance(inputs, Mapping):
        if strange := set(inputs) - set(takes):
            raise unknown("modality of this model", min(strange), takes)
        yield "row", inputs
    elif isinstance(inputs, Dataset):
        found = {m: column for m in takes if (column := _column(inputs, m)) is not None}
        if not found:
            raise HubtlError(f"the dataset has no column for {' or '.join(takes)}", hint="a column that is called so")
        for i, row in enumerate(undecoded(inputs.select_columns(list(found.values())))):
            yield f"row {i}", {m: row[column] for m, column in found.items()}
    elif isinstance(inputs, Sequence) and not isinstance(inputs, str):
        for position, item in enumerate(inputs):
            for name, row in each_row(item, takes):
                yield (f"{name} {position}" if name == "row" else name), row
    else:
        known = [modalities.of(m) for m in takes]
        example = ", ".join(f'"{one.name}": {one.literal}' for one in known)
        typed = " ".join(one.typed for one in known)
        raise HubtlError(
            f"a model of {', '.join(takes)} takes rows, not {type(inputs).__name__}",
            hint=f"{{{example}}}, or {typed} on the command line",
        )


class RowIntake:
    """Prepare rows for a model that collates them itself."""

    whole = False

    def __init__(self, backbone: Any) -> None:
        self.backbone = backbone

    def each(self, inputs: Any) -> Iterable[tuple[str, Any]]:
        """Name and row of every input."""
        return each_row(inputs, self.backbone.info.modalities)

    def read(self, value: Any) -> Mapping[str, Any]:
        """Make a batch of one row. Raises HubtlError for one that cannot be read."""
        return self.batch([value])

    def batch(self, values: Sequence[Any]) -> dict[str, Any]:
        """Make a batch of rows."""
        return dict(self.backbone.collate(values))

    def value(self, cells: Mapping[str, Any]) -> Any:
        """Return a row of the cells that are there."""
        return given(cells)


def given(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells that are there; a typed one whose modality is in tables alone is read as JSON.

    Raises HubtlError for text that is no JSON.
    """
    return {m: typed_cell(m, cell) for m, cell in cells.items() if cell is not None and str(cell).strip()}


def typed_cell(modality: str, cell: Any) -> Any:
    """Return a cell as typed: text of a modality that is in tables alone is JSON. Raises HubtlError for other text."""
    if not isinstance(cell, str) or not modalities.of(modality).tabular:
        return cell
    try:
        return json.loads(cell)
    except ValueError as error:
        raise HubtlError(
            f"{modality}: {shown.line(cell[:40])!r} is no JSON, and no cell of {modality} is a file",
            hint=f"{modality}='[0.1, 0.2]', or a dataset",
        ) from error


def _is_cell(value: Any, modality: str) -> bool:
    """Return whether a value is one cell of a modality. A row, a table or a sequence of cells is none."""
    if isinstance(value, Mapping) and modality in value:
        return False
    return bool(modalities.of(modality).is_cell(value))


def _column(dataset: Dataset, modality: str) -> str | None:
    """Return the column of a modality; None if its rows lack it."""
    if modality in dataset.features:
        return modality
    try:
        return str(modalities.of(modality).column(dataset, None, "the dataset"))
    except HubtlError:
        return None
