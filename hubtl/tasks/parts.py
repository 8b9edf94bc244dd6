"""Define the parts of a task: options, answers, meter, and the relation of two domains."""

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
    """Return the Python expression of a loaded ``model``'s output names, by number.

    ``library`` is the library that loaded it.
    """
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
    """Describe one output of an answer. Where ``name`` is empty, it describes all of them."""

    name: str
    value: str
    aside: str = ""  # how sure it is, in words


@dataclass(frozen=True)
class Bar:
    """Hold one output's probability and threshold. Above the threshold the answer includes it."""

    name: str
    share: float
    cut: float


@dataclass(frozen=True)
class Answer(ABC):
    """Hold a model's answer for one input."""

    percent: ClassVar[tuple[str, ...]] = ()  # columns of ``row`` that begin so are shares of one

    input: str

    @abstractmethod
    def row(self, top: int = 1) -> dict[str, Any]:
        """Return the columns that ``hubtl predict`` writes, with the ``top`` answers.

        A cell may be a list: it stays one in JSON and parquet, and is joined by commas elsewhere.
        """

    def of(self, image: Any) -> "Answer":
        """Return the answer with what depends on its own image.

        It is a PIL image; sizes in pixels depend on it, for example."""
        return self

    def drawn(self, kind: str, image: Any) -> Any:
        """Draw one of the task's ``draws`` as a PIL image.

        Args:
            kind: the name of the picture.
            image: the PIL image that was predicted.
        """
        raise NotImplementedError(kind)

    def table(self, top: int = 1) -> dict[str, Any]:
        """Return the columns of a table for people. Numbers are rounded and have units."""
        return self.row(top)

    def said(self) -> list[Said]:
        """Return the answer in words, for a page; by default the content of the table."""
        return [Said(name, str(value)) for name, value in self.table().items() if name != "input"]

    def bars(self) -> list[Bar]:
        """Return the bars to draw, most probable first. An answer may have several outputs."""
        return []

    def probabilities_of(self) -> dict[str, float]:
        """Return each output's probability, where the answer is one of them."""
        return {}


@dataclass(frozen=True)
class Related:
    """Hold a model's outputs, and the relation of its domains' labels."""

    outputs: Outputs
    relation: LabelSets
    unknown: int | None = None  # the output for what is none of the others
    notes: tuple[str, ...] = field(default=())  # for the plan


class Meter(ABC):
    """Collect a model's outputs and its rows' labels, batch by batch."""

    @abstractmethod
    def update(self, outputs: "Tensor", targets: np.ndarray | None) -> None:
        """Add rows.

        Args:
            outputs: outputs [b, k] on the CPU.
            targets: their labels [b, …], or None where they have none.
        """

    @abstractmethod
    def result(self) -> Evaluation:
        """Return the evaluation of all rows so far."""


def wanted(labels: np.ndarray | None, k: int) -> np.ndarray:
    """Return the labels, where ``k`` of each class are asked for.

    Raises:
        HubtlError: where there are none.
    """
    if labels is None:
        raise HubtlError(
            f"{k} labelled rows of each class are asked for, and the target's training rows have no labels",
            hint="leave --target-labels-per-class out, or --label-column NAME",
        )
    return labels
