"""Check a modality: its column, how its rows are read, spoilt and predicted, and how they are shown."""

import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets

from hubtl import backbones, plugins
from hubtl.backbones.base import Backbone, BackboneRequest
from hubtl.data.content import undecoded
from hubtl.data.suffixes import OTHER, kind_of
from hubtl.errors import HubtlError
from hubtl.modalities.base import Modality
from hubtl.testing.kinds import reading, refusing, showing, tables
from hubtl.testing.kinds.showing import is_line
from hubtl.testing.kinds.suite import Suite, declared, documented, refused
from hubtl.testing.kinds.tables import Sample

NAMES = ("a", "b")
ROWS = 4
HEAVY = ("torch", "transformers", "timm", "torchvision", "matplotlib", "gradio")


class ModalitySuite(Suite):
    """Check one modality, with a model that takes it.

    Args:
        cls: the modality.
        model: the model by its name in ``--model``, or the backbone itself; by default one of the loader that takes this
            modality alone.
        dataset: a table with a column of it; by default the cells of ``Modality.samples``.
        **options: those of the model's loader.
    """

    kind = "modalities"
    needs: ClassVar[tuple[str, ...]] = ("samples",)  # the first check that needs a model
    mends: ClassVar[Mapping[str, str]] = {
        "documents": "write a docstring for the class, and noun, plural, called, says and example as words",
        "called": "name = a word of letters, digits and _; register the class under it, in hubtl.modalities",
        "imports": "import torch and other large packages inside the methods that use them, or in a module of the readers",
        "files": "suffixes in small letters with a dot, that no other modality has; feature() makes the type of their column",
        "samples": "samples(spec, rng) makes different cells as a dataset's column holds them; is_cell is True for each of "
        "them and for what example is typed as, and False for several",
        "finds": "column() returns asked by hubtl.data.columns.existing, else the one column of its type by only(), which "
        "raises HubtlError for none",
        "reads": "read(cell) returns arrays of the same shapes for every cell, and depends on the cell alone; tensors(stacked) "
        "makes float32, int64 or bool of them",
        "views": "view(arrays, name, rng) draws from rng alone, and returns arrays of the shapes of read",
        "refuses": "read(cell) raises ValueError for a cell that it cannot use, with the reason; OSError for a file",
        "lacks": "missing(cell) is True for None; empty() returns zeros of the shapes and types of read",
        "spoils": "corrupt(arrays, severity, rng) draws from rng alone, keeps the shapes, and changes more the higher it is",
        "predicts": "intake(backbone) prepares rows as rows(…) does: both by the same reader, or the same function",
        "says": "takes(spec) is one line; snippet() and opens() return code that Python compiles, or None",
        "shows": "html(cell) returns markup that needs no other file, with the cell's own text escaped; widget(gradio, label) "
        "returns a component",
        "explains": "cover(backbone, row): windows bool [w, parts], each part in as many windows as times says; without(gone) "
        "yields batches; draw returns what was drawn last",
    }

    def __init__(
        self,
        cls: type[Modality],
        model: str | Backbone | None = None,
        *,
        dataset: Dataset | None = None,
        **options: Any,
    ) -> None:
        self.cls, self.model, self.dataset, self.options = cls, model, dataset, options

    @cached_property
    def modality(self) -> Modality:
        return self.cls()

    @cached_property
    def backbone(self) -> Backbone:
        if isinstance(self.model, Backbone):
            return self.model.eval()
        name, own = self.model or tables.taken_by(self.cls.name), self.cls.name
        if name is None:
            raise HubtlError(
                f"{own} is checked with a model that takes it alone, and none is known",
                hint=f'--model NAME, or modalities = ("{own}",) in the loader of its models',
            )
        torch.manual_seed(0)
        found = backbones.resolve(name, BackboneRequest(NAMES, pretrained=False, options=self.options)).eval()
        if found.info.modalities != (own,):
            takes = ", ".join(found.info.modalities)
            raise HubtlError(f"{name} takes {takes}, and not {own} alone", hint="--model NAME of one that does")
        return found

    @cached_property
    def cells(self) -> list[Any]:
        if self.dataset is None:
            return list(self.modality.samples(self.backbone.info.input, np.random.default_rng(0)))[:ROWS]
        column = self.modality.column(self.dataset, None, "the dataset")
        rows = undecoded(self.dataset.select_columns([column]))
        return list(rows.select(range(min(ROWS, len(rows))))[column])

    @cached_property
    def sample(self) -> Sample:
        return Sample(self.modality, self.backbone, self.cells)

    def documents(self) -> None:
        """The class has a docstring. It has words for a cell and for several."""
        declared(self.kind, self.cls)
        documented(self.cls)
        for word in ("noun", "plural", "called", "says", "example", "typed", "alone"):
            said = getattr(self.modality, word)
            assert is_line(said), f"its {word} is {said!r}"
        showing.check_compiles(self.modality.literal, "its example")
        assert isinstance(self.cls.rank, int), f"its rank is {self.cls.rank!r}"
        if self.cls.requires is not None:
            assert self.cls.check is not Modality.check, "it requires a package, and check() looks for none"
        for name in ("words", "crops", "covers"):
            assert isinstance(getattr(self.cls, name), bool), f"its {name} is {getattr(self.cls, name)!r}"

    def called(self) -> None:
        """It is registered under its name. That is one word."""
        name = str(getattr(self.cls, "name", ""))
        assert re.fullmatch(r"[a-z]\w*", name), f"its name is {name!r}"
        entry = plugins.entries("modalities").get(name)
        listed = [n for n, e in plugins.entries("modalities").items() if e.value.endswith(f":{self.cls.__qualname__}")]
        under = f"it is registered as {listed[0]}" if listed else "it is not registered"
        assert entry is not None, f"{under}, and its name is {name}"
        assert self.modality.is_called(name), f"a column called {name} is not called as it is: is_called says so"

    def imports(self) -> None:
        """Importing it brings neither torch nor another large package."""
        module = self.cls.__module__
        if module.startswith("plugin_file_") or module == "__main__":
            return  # a file has everything in one place
        code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{module} cannot be imported by itself: {done.stderr.strip().splitlines()[-1:]}"
        assert not done.stdout.strip(), f"importing {module} imports {', '.join(done.stdout.split())}"

    def files(self) -> None:
        """Its suffixes are its own. A column of such files is found."""
        odd = [s for s in self.modality.suffixes if s != s.lower() or not s.startswith(".") or len(s) < 2]
        assert not odd, f"its suffixes have {odd[0]!r}"
        taken = [s for s in self.modality.suffixes if kind_of(f"a{s}") not in (self.cls.name, OTHER)]
        assert not taken, f"files of {taken[0]} are read as {kind_of(f'a{taken[0]}')}"
        if not self.modality.suffixes:
            return
        assert self.modality.feature() is not None, "it has suffixes, and feature() is None"
        paths = [f"{i}{sorted(self.modality.suffixes)[0]}" for i in range(2)]
        made = undecoded(tables.table(self.modality, paths))
        found = self.modality.column(tables.table(self.modality, paths), None, "the files")
        assert found == self.cls.name, (
            f"of a folder of files with the columns {', '.join(made.features)} it takes {found}"
        )

    def samples(self) -> None:
        """It has cells to try, and knows one cell from several."""
        assert len(self.cells) >= 2, f"samples() makes {len(self.cells)} cells, and 2 are needed; or --dataset DATA"
        for cell in self.cells:
            assert self.modality.is_cell(cell), f"is_cell says that a sample is none: {str(cell)[:60]}"
        assert not self.modality.is_cell(list(self.cells)), "is_cell says that a list of cells is one"
        assert not self.modality.is_cell(tables.table(self.modality, self.cells)), "is_cell says that a table is one"
        example = self.modality.literal
        assert self.modality.is_cell(eval(example, {})), (
            f"a card's code predicts {example}, and is_cell says that it is none"
        )

    def finds(self) -> None:
        """It finds its own column, or the one that is asked for. Without one it raises HubtlError."""
        own = tables.table(self.modality, self.cells)
        other = tables.others(self.modality, len(self.cells))
        whole = concatenate_datasets([other, own.remove_columns("label")], axis=1)
        found = self.modality.column(whole, None, "the sample")
        assert found == self.cls.name, f"of {', '.join(whole.features)} it takes {found}, not {self.cls.name}"
        renamed = own.rename_column(self.cls.name, "mine")
        assert self.modality.column(renamed, "mine", "the sample") == "mine", (
            "it does not take the column that is asked for"
        )
        assert refused(lambda: self.modality.column(own, "nowhere", "the sample")) is not None, (
            "it is asked for a column that there is not, and raises no HubtlError"
        )
        claimed: list[str] = []
        error = refused(lambda: claimed.append(self.modality.column(other, None, "the sample")))
        of = type(other.features.get(claimed[0])).__name__ if claimed else ""
        assert error is not None, f"it claims {claimed[0]}, a column of another kind ({of})"
        assert error.hint, "without a column of it, its error has no hint"

    def reads(self) -> None:
        """Equal cells are read as equal tensors. A model takes them."""
        reading.check_reads(self.sample)

    def views(self) -> None:
        """Views have the shapes of the cell. They follow from the seed."""
        reading.check_views(self.sample)

    def refuses(self) -> None:
        """A cell that cannot be read is an error naming its row. It can be left out."""
        refusing.check_refuses(self.sample)

    def lacks(self) -> None:
        """A missing cell has blank arrays. A row with nothing in it is named."""
        refusing.check_lacks(self.sample)

    def spoils(self) -> None:
        """Corruptions keep the shapes. Severity 5 changes more than severity 1."""
        reading.check_spoils(self.sample)

    def predicts(self) -> None:
        """A cell to predict is prepared as one of a dataset."""
        reading.check_predicts(self.sample)

    def says(self) -> None:
        """A card says what a model takes, and its code compiles."""
        showing.check_says(self.sample)

    def shows(self) -> None:
        """A page shows a cell without other files. It has an input for one."""
        showing.check_shows(self.sample)

    def explains(self) -> None:
        """Parts of a row are taken away, and their relevance is drawn."""
        showing.check_explains(self.sample)
