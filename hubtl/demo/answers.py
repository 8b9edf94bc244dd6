"""Compute the answers of the page without a browser: one or two models, and relevance."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from hubtl.backbones.saved import read_facts
from hubtl.errors import HubtlError
from hubtl.modalities.base import Unreadable
from hubtl.models import saved
from hubtl.models.model import AdaptedModel
from hubtl.run.export import ADAPTED, SOURCE_ONLY
from hubtl.tasks import Answer

KEEP = "a run keeps one with --set run.keep_source_only=true, and hubtl demo --source-only names one"

SHIPPED = "This run ships source-only; what adapting made stands beside it."

Said = dict[str, float] | Answer
Cells = Mapping[str, str | None]  # modality -> file or words; None or empty: it is missing


@dataclass(frozen=True)
class Answers:
    """Hold a model, and the source-only model if there is one. Both have the same outputs and modalities."""

    name: str
    model: AdaptedModel
    strategy: str | None  # None: the model is not of hubtl's making
    before: AdaptedModel | None  # source-only
    note: str = ""  # why there is no source-only, or that it is what the run ships

    @classmethod
    def of(cls, model: str | Path, source_only: str | Path | None = None) -> "Answers":
        """Load a model and its source-only; see ``hubtl.demo.launch``.

        Raises:
            HubtlError: as ``launch`` does.
        """
        folder = saved.folder_of(model)
        name = folder.resolve().name if Path(model).expanduser().is_dir() else str(model)
        strategy, note = read_facts(folder).get("strategy"), ""
        kept = _kept(folder, SOURCE_ONLY)
        if strategy == SOURCE_ONLY and (adapted := _kept(folder, ADAPTED)) is not None:
            folder, kept = adapted, folder
            strategy, note = read_facts(folder).get("strategy"), SHIPPED
        if source_only is not None:
            other = saved.folder_of(source_only)
            kept = _kept(other, SOURCE_ONLY) or other
        loaded = saved.load(folder)
        if kept is None:
            is_it = "This model is source-only itself: nothing was adapted."
            note = is_it if strategy == SOURCE_ONLY else f"No source-only model comes with this one: {KEEP}."
            return cls(name, loaded, strategy, None, note)
        before = saved.load(kept)
        _check("task", [loaded.task.name], [before.task.name])
        _check("outputs", loaded.task.outputs.names, before.task.outputs.names)
        _check("inputs", loaded.info.modalities, before.info.modalities)
        return cls(name, loaded, strategy, before, note)

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.model.info.modalities

    @property
    def bars(self) -> bool:
        """Return whether an answer is one output, with each one's probability."""
        return self.model.task.bars

    @property
    def explains(self) -> bool:
        """Return whether there is relevance."""
        return not self.unexplained

    @property
    def unexplained(self) -> str:
        """Return why there is no relevance; empty where there is."""
        try:
            self.model.task.check_explains()
        except HubtlError as error:
            return f"There is no relevance: {error}."
        why = self.model.unexplained
        return f"There is no relevance: {why}." if why else ""

    def predict(self, cells: Cells) -> tuple[Said | None, Said]:
        """Return the answers of source-only (None without one) and of the model.

        They are probabilities by output, or answers.

        Raises:
            HubtlError: for an input that cannot be read, and where all are empty.
        """
        with self._errors(cells):
            before = None if self.before is None else _answer(self.before, cells)
            return before, _answer(self.model, cells)

    def relevance(self, cells: Cells, label: str | None = None) -> list[Image.Image]:
        """Return the picture of ``hubtl explain``. That for dark pages comes second, if there is one.

        Args:
            cells: the inputs.
            label: the class to explain; None takes the predicted one.

        Raises:
            HubtlError: as ``predict`` does, and for a model that cannot be explained.
        """
        with self._errors(cells), tempfile.TemporaryDirectory() as aside:
            self.model.explain(_row(self.model, cells), label=label, folder=Path(aside))
            drawn = [Path(aside) / f"explanation{theme}.png" for theme in ("", "-dark")]
            return [_opened(path) for path in drawn if path.exists()]

    @contextmanager
    def _errors(self, cells: Cells) -> Iterator[None]:
        """Reword errors for the page: a file has its owner's name, not the server's."""
        if not any(map(_there, cells.values())):
            raise HubtlError(f"Nothing is given. This model takes {_or(self.modalities)}.")
        try:
            yield
        except (HubtlError, OSError, Unreadable) as error:
            reason = str(error)
            for cell in cells.values():
                if cell and Path(cell).is_absolute():
                    reason = reason.replace(cell, Path(cell).name)
            raise HubtlError(reason) from error


def _check(what: str, model: Any, before: Any) -> None:
    if list(model) != list(before):
        raise HubtlError(
            f"source-only has the {what} {', '.join(before)}, and the model has {', '.join(model)}",
            hint="--source-only with the model that this one was adapted from",
        )


def _kept(folder: Path, which: str) -> Path | None:
    """Return the other model that a run directory keeps, by its name."""
    return folder / which if (folder / which / "config.json").exists() else None


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as drawn:
        drawn.load()
    return drawn


def _there(cell: str | None) -> bool:
    return bool(cell and cell.strip())


def _row(model: AdaptedModel, cells: Cells) -> Any:
    """Return a model's input, made of the given cells."""
    return model.intake().value(cells)


def _answer(model: AdaptedModel, cells: Cells) -> Said:
    (answer,) = model.task.decode([""], model.logits([_row(model, cells)]))
    return answer.probabilities_of() if model.task.bars else answer


def _or(names: tuple[str, ...]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else f"one input: {names[0]}"
