"""Handle labels of single rows: the possible answers, and which of two models is nearer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from hubtl.errors import HubtlError
from hubtl.record import Outputs

if TYPE_CHECKING:
    from torch import Tensor

    from hubtl.data.labels import Labels

NONE = "none of these"  # a label that is none of the choices
SAME = 1e-6  # losses that differ by less are equal


class Reading(Protocol):
    """Read labels: the part of a task that ``Asking`` needs."""

    outputs: Outputs
    unknown: int | None

    def read(
        self, parts: Sequence[object], columns: Sequence[str], where: str, called: Sequence[str], known: Outputs | None
    ) -> "Labels": ...

    def targets(self, labels: np.ndarray, own: Outputs, outputs: Outputs, other: int | None = None) -> np.ndarray: ...

    def present(self, labels: np.ndarray) -> np.ndarray: ...

    def losses(self, outputs: "Tensor", labels: "Tensor") -> "Tensor": ...


class Asking:
    """Handle answers and labels of single rows.

    The defaults serve any task whose labels are one column of numbers or names.

    Attributes:
        several: whether a row may have several of the ``choices``.
        asks: whether a person can be asked for a row's label.
        instead: the hint where nobody can be.
    """

    several: ClassVar[bool] = False
    asks: ClassVar[bool] = True
    instead: ClassVar[str] = "hubtl evaluate RUN --dataset DATASET with labelled rows"

    def choices(self) -> list[str]:
        """Return the possible labels; empty where a label is typed, such as a number."""
        return []

    def typed(self: Reading, text: str) -> np.ndarray:
        """Parse a row's label from text. It is a label of the model's own outputs.

        Raises:
            HubtlError: for text that is no label.
        """
        from datasets import Dataset

        part = Dataset.from_dict({"label": [text.strip()]})
        read = self.read([part], ["label"], "the label", ["labels"], self.outputs)
        label = self.targets(read.values[0], read.outputs, self.outputs, self.unknown)
        if not self.present(label)[0]:
            raise HubtlError(f"{text.strip()!r} is no label of this model", hint=", ".join(self.outputs.names[:12]))
        return np.asarray(label[0])

    def spelt(self, label: np.ndarray, text: str) -> str:
        """Return the text to store for a label. It was ``typed`` as ``text``.

        Args:
            label: the label.
            text: the text as typed.
        """
        return " ".join(text.split())

    def answered(self, outputs: "Tensor") -> np.ndarray:
        """Return a model's answers [n, …] for its outputs [n, k]."""
        return np.asarray(outputs.numpy())

    def disagree(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return the mask [n] of rows on which two models answer differently.

        Args:
            one: answers [n, …] of one model.
            other: answers [n, …] of the other.
        """
        apart = ~np.isclose(one, other)
        return np.asarray(apart.reshape(len(apart), -1).any(axis=1))

    def gap(self, one: np.ndarray, other: np.ndarray) -> str | None:
        """Describe how far two models' answers lie apart; None where answers are no numbers.

        Args:
            one: answers [n, …] of one model.
            other: answers [n, …] of the other.
        """
        return None

    def nearer(self: Reading, one: np.ndarray, other: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return which answer is nearer to each row's label, int [n].

        Args:
            one: answers [n, …] of one model.
            other: answers [n, …] of the other.
            labels: labels [n, …].

        Returns:
            1 where the ``other`` is nearer, −1 where the ``one`` is, 0 where neither is.
        """
        import torch

        truth = torch.from_numpy(np.asarray(labels))
        lost = [self.losses(torch.from_numpy(answers).float(), truth).numpy() for answers in (one, other)]
        return np.where(np.abs(lost[0] - lost[1]) <= SAME, 0, np.sign(lost[0] - lost[1])).astype(int)
