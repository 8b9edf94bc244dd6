"""Make small tables of a modality's cells, and spoil cells. The suite of a modality reads them."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from hubtl import plugins
from hubtl.backbones.base import Backbone
from hubtl.backbones.loader import ready
from hubtl.errors import HubtlError
from hubtl.plugins.modalities import USUAL

PROSE = "It was a long and quiet evening by the sea."
SHOWN = "the sample"
NEAR = 1e-5  # between floats that two ways of scaling make
Inputs = Mapping[str, Tensor]


def taken_by(modality: str) -> str | None:
    """Return the name of a model that takes this modality alone. It comes from a package or a file."""
    for name, entry in plugins.entries("backbones").items():
        if entry.builtin:
            continue
        with contextlib.suppress(HubtlError):  # of a package that does not load
            if tuple(getattr(ready(entry.load()), "modalities", ())) == (modality,):
                return name
    return "lenet" if modality == USUAL else None


def table(modality: Any, cells: Sequence[Any], name: str | None = None) -> Dataset:
    """Return a table of cells and their labels. The column is called as the modality, or by another name."""
    column = name or modality.name
    made = Dataset.from_dict({column: list(cells), "label": [i % 2 for i in range(len(cells))]})
    feature = modality.feature()
    if feature is not None and isinstance(cells[0], str | bytes | Mapping):
        made = made.cast_column(column, feature)
    return made


def others(modality: Any, rows: int) -> Dataset:
    """Return a table of every other kind of column. It has numbers, labels, and cells of the built-in modalities."""
    rng = np.random.default_rng(5)
    made: dict[str, list[Any]] = {
        "label": [i % 2 for i in range(rows)],
        "price": [0.5 * i for i in range(rows)],
        "place": ["here" if i % 2 else "there" for i in range(rows)],
    }
    features = {}
    for name, entry in plugins.entries("modalities").items():
        if entry.builtin and name != modality.name:
            own = entry.load()()
            cells = list(own.samples(None, rng))
            made[f"{name}_of_it"] = [cells[i % len(cells)] for i in range(rows)]
            if (feature := own.feature()) is not None:
                features[f"{name}_of_it"] = feature
    found = Dataset.from_dict(made)
    for name, feature in features.items():
        found = found.cast_column(name, feature)
    return found


def damaged(cell: Any) -> Iterator[tuple[str, Any]]:
    """Yield damaged cells of the same type, with what was done."""
    if isinstance(cell, Mapping):
        keys = dict.fromkeys(cell)
        if "bytes" in cell:
            yield "with other bytes in it", keys | {"bytes": b"\x00no file of any kind\xff" * 3}
            yield "cut off", keys | {"bytes": bytes(cell["bytes"])[: len(cell["bytes"]) // 3]}
        return
    if isinstance(cell, str):
        yield "of signs that nobody writes", "\ufffd\u200b\x07" * 5
        yield "without end", "x " * 20_000
        return
    if isinstance(cell, bytes):
        yield "cut off", cell[: len(cell) // 3]
        return
    with contextlib.suppress(TypeError, ValueError):
        values = np.asarray(cell)
        if values.ndim and values.size:
            yield "half as long", values[: max(1, len(values) // 2)].tolist()
            yield "twice as long", np.concatenate([values, values]).tolist()
            if values.dtype.kind == "f":
                spoilt = values.copy()
                spoilt.flat[0] = np.nan
                yield "with a NaN in it", spoilt.tolist()


FOREIGN = (  # what is passed to predict by mistake
    ("a number", 7.25),
    ("a mapping", {"tea": "green"}),
    ("a set", {1, 2}),
    ("a list of nothing", [None, None]),
    ("an object", object()),
)


@dataclass(frozen=True)
class Sample:
    """Hold some cells of a modality, and a model that takes them."""

    modality: Any
    backbone: Backbone
    cells: list[Any]

    def open(self, cells: Sequence[Any] | None = None, *, labelled: bool = True, **how: Any) -> Any:
        """Open cells as a run does. Raises HubtlError for a cell that cannot be read."""
        own = self.cells if cells is None else list(cells)
        made, name = table(self.modality, own), self.modality.name
        how = {"augment": False, "labels": np.arange(len(own)) % 2 if labelled else None} | how
        if ranges := self.modality.ranges(made, name, self.backbone.ranges, SHOWN):
            how["ranges"] = ranges
        return self.modality.rows(self.backbone, made, name, name=SHOWN, **how)

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """The cells as a batch."""
        return dict(self.open().fetch(range(len(self.cells))).inputs)

    @property
    def reader(self) -> Any:
        """The reader of the model; None where the modality reads by itself."""
        return self.backbone.readers.get(self.modality.name)


def unlike(one: Inputs, other: Inputs, *, values: bool = True, near: float = 0.0) -> str | None:
    """Say in what two batches differ. None: they are alike, their values too, unless ``values`` is False."""
    if one.keys() != other.keys():
        return f"keys {', '.join(sorted(one))} and {', '.join(sorted(other))}"
    for key, tensor in one.items():
        if tensor.shape != other[key].shape or tensor.dtype != other[key].dtype:
            return f"{key} is {_shown(tensor)} and {_shown(other[key])}"
        if values and not torch.allclose(tensor.double(), other[key].double(), rtol=near, atol=near):
            return f"{key} has other values"
    return None


def at(inputs: Inputs, *rows: int) -> dict[str, Tensor]:
    """Return some rows of a batch."""
    return {key: tensor[list(rows)] for key, tensor in inputs.items()}


def _shown(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
