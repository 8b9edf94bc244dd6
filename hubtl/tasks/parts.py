"""What a task is made of beside itself: options, answers, a meter, and how two domains relate."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import ConfigDict

from hubtl.errors import HubtlError
from hubtl.recipe.bounded import Bounded
from hubtl.record import Evaluation, LabelSets, Outputs

if TYPE_CHECKING:  # a card is rendered without torch
    from torch import Tensor


def names_in(library: str | None) -> str:
    """The Python expression of the names of the outputs, by number, of a ``model`` that ``library`` loaded."""
    expressions = {
        "timm": 'model.pretrained_cfg["label_names"]',
        "transformers": "model.config.id2label",
        "hubtl": "model.names",
    }
    return "names" if library is None else expressions[library]


class TaskOptions(Bounded):
    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True)
class Said:
    """What an answer says of one output, or of all of them where ``name`` is empty."""

    name: str
    value: str
    aside: str = ""  # how sure it is, in words


@dataclass(frozen=True)
class Bar:
    """How likely one output is, and the probability above which it is part of the answer."""

    name: str
    share: float
    cut: float


@dataclass(frozen=True)
class Answer(ABC):
    """What a model says of one input."""

    percent: ClassVar[tuple[str, ...]] = ()  # columns of ``row`` that begin so are shares of one

    input: str

    @abstractmethod
    def row(self, top: int = 1) -> dict[str, Any]:
        """Give the columns that ``hubtl predict`` writes, with the ``top`` answers where there are several.

        A cell may be a list: it stays one in JSON and parquet, and is written with commas between elsewhere.
        """

    def table(self, top: int = 1) -> dict[str, Any]:
        """The columns of a table that people read: texts have the digits and units that they are to have."""
        return self.row(top)

    def said(self) -> list[Said]:
        """Say it in words, for a page; by default what the table has."""
        return [Said(name, str(value)) for name, value in self.table().items() if name != "input"]

    def bars(self) -> list[Bar]:
        """What is drawn below what is said, the likeliest first, where several outputs may be answered at once."""
        return []

    def probabilities_of(self) -> dict[str, float]:
        """The probability of each output, of an answer that is one of them."""
        return {}


@dataclass(frozen=True)
class Related:
    """What the model of a run answers with, and how the labels of its two domains relate."""

    outputs: Outputs
    relation: LabelSets
    unknown: int | None = None  # the output for what is none of the others
    notes: tuple[str, ...] = field(default=())  # for the plan


class Meter(ABC):
    """Collects the outputs of a model and the labels of their rows, batch by batch."""

    @abstractmethod
    def update(self, outputs: "Tensor", targets: np.ndarray | None) -> None:
        """Add rows: ``outputs`` [b, k] on the CPU and their labels, or None where they have none."""

    @abstractmethod
    def result(self) -> Evaluation:
        """The figures of all rows so far."""


def wanted(labels: np.ndarray | None, k: int) -> np.ndarray:
    """The labels, where ``k`` of each class are asked for. Raises HubtlError where there are none."""
    if labels is None:
        raise HubtlError(
            f"{k} labelled rows of each class are asked for, and the target's training rows have no labels",
            hint="leave --target-labels-per-class out, or --label-column NAME",
        )
    return labels
