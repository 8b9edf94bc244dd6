"""What a model is for: its head and its loss."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from pydantic import ConfigDict
from torch import Tensor, nn

from hubtl.recipe.bounded import Bounded


class TaskOptions(Bounded):
    model_config = ConfigDict(frozen=True)


class Task(ABC):
    """The seam of a task; a plugin registers a subclass under ``hubtl.tasks``."""

    Options: type[TaskOptions] = TaskOptions
    probabilities: ClassVar[bool] = True  # whether a softmax of the outputs says how likely each class is

    def __init__(self, classes: Sequence[str], options: TaskOptions | None = None) -> None:
        self.classes = list(classes)
        self.source_domains: list[str] = []  # where there are several
        self.source_classes: list[str] | None = None  # of a sequential run, whose source has classes of its own
        self.unknown: int | None = None  # index of the class for what is none of the others, in an open-set run
        self.options = options if options is not None else self.Options()

    @abstractmethod
    def head(self, width: int) -> nn.Linear:
        """A fresh head on pooled features of ``width``."""

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor | None, weight: Tensor | None = None) -> Tensor:
        """The supervised loss, a scalar: the mean over rows, each times its ``weight`` [b] if there is one.

        Raises HubtlError if the labels are sealed.
        """
