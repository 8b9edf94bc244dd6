"""The contract of a modality: which column is its own, how its rows are read, and how they are shown."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from hubtl.errors import HubtlError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from hubtl.backbones.base import Backbone, PixelRanges
    from hubtl.data.rows import Opened
    from hubtl.modalities.reader import Reader


class Unreadable(ValueError):
    """Report a cell that is damaged, or holds something else. Its text says why."""


@dataclass(frozen=True)
class Examined:
    """Hold one cell's sizes by name, and cheap features [d]."""

    sizes: Mapping[str, float]
    sketch: "np.ndarray"


class Modality(ABC):
    """Define one kind of input. Importing it must be quick: what it needs is imported where it is used.

    Attributes:
        name: the key of its inputs in a batch, and its word on the command line: ``--model NAME=…``, ``--column NAME=…``.
        rank: its place where several are listed, the least one first. Files of the first one lead their rows.
        noun: one cell in words.
        plural: several of them.
        called: files of it in messages.
        says: a cell and what it tells, for the limits on a card.
        words: a cell is typed as words; otherwise as the name of a file.
        example: a cell in the code on a card: a file's name or words; where ``tabular``, an expression of Python.
        alone: what is typed to predict one row of a model that takes this alone.
        suffixes: endings of files that hold one cell each, in lower case.
        folders: names of folders that hold such files and are no class, in lower case.
        auto: transformers' class that opens its classifiers, and its list of their model types.
        model_types: types of its classifiers that are hubtl's own, in transformers' format.
        requires: the package, or hubtl's extra, to install where it is read.
        crops: whether the recipe's crops, flips and strong views are of its rows; otherwise the readers make their own.
        covers: whether ``cover`` can take parts of an input away, so that a prediction is explained.
    """

    name: ClassVar[str]
    rank: ClassVar[int] = 100
    noun: ClassVar[str] = "row"
    plural: ClassVar[str] = "rows"
    called: ClassVar[str] = "files"
    says: ClassVar[str] = "row holds"
    words: ClassVar[bool] = False
    example: ClassVar[str] = "[0.0, 1.0]"
    folders: ClassVar[frozenset[str]] = frozenset()
    auto: ClassVar[tuple[str, str] | None] = None
    model_types: ClassVar[tuple[str, ...]] = ()
    requires: ClassVar[str | None] = None
    crops: ClassVar[bool] = False
    covers: ClassVar[bool] = False

    @property
    def suffixes(self) -> frozenset[str]:
        return frozenset()

    @property
    def tabular(self) -> bool:
        """Return whether cells are in tables alone, neither words nor files: lists of numbers, say."""
        return not self.words and not self.suffixes

    @property
    def typed(self) -> str:
        """Return the argument for one cell on the command line."""
        return f"{self.name}={'WORDS' if self.words else 'JSON' if self.tabular else 'FILE'}"

    @property
    def alone(self) -> str:
        return "DATASET" if self.tabular else self.typed

    @property
    def literal(self) -> str:
        """Return Python code of the example cell."""
        return self.example if self.tabular else f'"{self.example}"'

    def check(self) -> None:
        """Raise HubtlError where a package is missing that reads it."""
        return

    # data

    @abstractmethod
    def column(self, dataset: Any, asked: str | None, where: str) -> str:
        """Find the column of a dataset that holds the modality.

        Args:
            dataset: a ``datasets.Dataset``.
            asked: the column that the user named, or None.
            where: the dataset's name, for errors.

        Raises:
            HubtlError: where there is none, or more than one (see ``hubtl.data.columns``).
        """

    def is_called(self, column: str) -> bool:
        """Return whether a column's name says that it holds such files. Its cells name files of this modality."""
        return self.name in column.lower()

    def feature(self) -> Any:
        """Make the type of a column of files, of ``datasets``. Needed where there are ``suffixes``."""
        return None

    def is_cell(self, value: Any) -> bool:
        """Return whether a value is one cell. A row, a table or a sequence of them is none."""
        return isinstance(value, str)

    def ranges(self, dataset: Any, column: str, known: "PixelRanges", where: str) -> "PixelRanges":
        """Measure the ranges that scale every row: of images black and white.

        Args:
            dataset: the rows.
            column: their column of this modality.
            known: ranges that are known from the source or the model.
            where: the dataset's name, for errors.
        """
        return known

    def rows(
        self, backbone: "Backbone", dataset: Any, column: str, *, labels: "np.ndarray | None", name: str, **how: Any
    ) -> "Opened":
        """Open a split's rows for a model of this modality alone.

        By default a backbone's own reader of this modality reads them (``Backbone.readers``).

        Args:
            backbone: the model's backbone.
            dataset: the rows of a split.
            column: their column of this modality.
            labels: a label for each row, or None.
            name: the rows' name, for errors and the cache.
            how: further keywords, as in ``open_rows``.
        """
        from hubtl.modalities.rows import ReadRows

        how.pop("data", None)
        readers = readers_of(backbone, self.name)
        return ReadRows(dataset, {self.name: column}, readers, labels=labels, name=name, **how)

    # predicting and explaining

    def intake(self, backbone: "Backbone") -> "Intake":
        """Prepare inputs to predict for a model of this modality alone. By default the backbone's own reader does so."""
        from hubtl.modalities.intake import ReadIntake

        return ReadIntake(backbone, readers_of(backbone, self.name))

    def trial(self, spec: Any) -> "Mapping[str, Tensor] | None":
        """Make inputs of two rows of noise, to try a model's declaration; None where that cannot be told."""
        return None

    def preparation(self, backbone: "Backbone") -> dict[str, Any]:
        """Return how a model's cells are prepared, in plain values; called for a backbone without its own reader."""
        return {}

    def cover(self, backbone: "Backbone", row: Any) -> "Cover":
        """Prepare a row whose parts can be taken away.

        It is called where ``covers`` is set.

        Args:
            backbone: the model's backbone.
            row: one cell of this modality.
        """
        raise NotImplementedError(f"{type(self).__name__} covers nothing")

    def samples(self, spec: Any, rng: "np.random.Generator") -> "Sequence[Any]":
        """Make different cells of noise, as a dataset's column holds them.

        The conformance suites read such cells.

        Args:
            spec: the input of a model that takes them (``BackboneInfo.input``), or None.
            rng: draws the noise.
        """
        return ()

    # inspecting

    def examine(self, cell: Any) -> Examined | None:
        """Measure a cell as a dataset holds it, undecoded; None where that is not known.

        Raises Unreadable, OSError or ValueError for one that cannot be read.
        """
        return None

    def tile(self, cell: Any, side: int) -> Any:
        """Make a small picture for a contact sheet; None without one.

        It is an image of PIL, at most ``side`` pixels wide and high.
        """
        return None

    # saying and showing

    def register(self) -> None:
        """Make ``model_types`` known to transformers."""
        return

    def takes(self, spec: Mapping[str, Any]) -> str | None:
        """Say what a model takes, by its ``input`` in the record; None where the numbers speak for themselves."""
        return None

    def snippet(self, library: str, where: str, spec: Mapping[str, Any], prints: str) -> str | None:
        """Write a program that predicts one example with a library.

        Args:
            library: the library that loads the model, such as ``transformers``.
            where: the model's Hub id or folder.
            spec: the model's input, as its record has it.
            prints: code that prints the answer in ``logits``.

        Returns:
            Python code; None where ``hubtl.load`` is the program.
        """
        return None

    def opens(self, spec: Mapping[str, Any]) -> str:
        """Write the lines that open one example for ``Backbone.snippet``; empty where that opens its own."""
        return ""

    def html(self, cell: Any) -> str | None:
        """Show a cell on a page, as HTML that needs nothing else; None: by its name."""
        return None

    def widget(self, gradio: Any, label: str) -> Any:
        """Make the input of a page.

        Its value is the path of a file, words, or a cell as JSON.

        Args:
            gradio: the module.
            label: the widget's label.
        """
        if self.tabular:
            return gradio.Textbox(label=label, placeholder="[0.1, 0.2, …]", lines=3)
        return gradio.File(type="filepath", label=label)


def readers_of(backbone: "Backbone", name: str) -> "Mapping[str, Reader]":
    """Return the backbone's reader of a modality. Raises HubtlError for a backbone without one."""
    if name not in backbone.readers:
        raise HubtlError(f"{backbone.info.name} has no reader of {name}", hint="its loader gives Backbone.readers")
    return {name: backbone.readers[name]}


class Intake(Protocol):
    """Prepare what a model predicts.

    Attributes:
        whole: inputs are looked at together, so that they are not given one after another.
    """

    whole: bool

    def each(self, inputs: Any) -> Iterable[tuple[str, Any]]:
        """Name and value of every input. Raises HubtlError for what is none."""

    def read(self, value: Any) -> "Mapping[str, Tensor]":
        """Make a batch of one input. Raises Unreadable, OSError or HubtlError."""

    def batch(self, values: Sequence[Any]) -> "dict[str, Tensor]":
        """Make a batch of inputs that are at hand: images of PIL, rows."""

    def value(self, cells: Mapping[str, Any]) -> Any:
        """Make what ``batch`` takes of cells by modality. Raises HubtlError for one that cannot be read."""


class Cover(Protocol):
    """Hold a row whose parts may be taken away, for ``hubtl.tasks.classification.relevance``.

    Attributes:
        name: the modality's.
        windows: bool [w, parts], the parts that are taken away together.
        times: windows that take each part.
        layout: how the parts lie, for readers of ``explanation.json``.
    """

    name: str
    windows: "Tensor"
    times: int
    layout: dict[str, Any]

    def without(self, gone: "Tensor") -> "Iterable[Mapping[str, Tensor]]":
        """Yield batches of the row without some of its parts. They are True in ``gone`` [n, parts]."""

    def draw(self, plain: Any, mapped: Any, relevance: "np.ndarray", theme: Any) -> Any:
        """Draw the row and its relevance into two axes of matplotlib.

        Args:
            plain: the axes for the row.
            mapped: the axes for its relevance.
            relevance: the relevance of each part.
            theme: colours and sizes of the page.

        Returns:
            The mappable of the relevance, for a colour bar.
        """
