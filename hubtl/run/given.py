"""Read labels of single target rows to learn from. They are in a file (``target.labels``)."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hubtl.data import rowlabels
from hubtl.data.sources import Domain
from hubtl.errors import HubtlError
from hubtl.recipe.schema import Recipe
from hubtl.tasks import Task


@dataclass(frozen=True)
class Given:
    """Hold rows of a target's training stream with their labels. The labels may be learnt from."""

    positions: np.ndarray  # int64 [n], in the training rows
    labels: np.ndarray  # [rows, …] of every training row, as the model answers; those of other rows mean nothing
    rows: list[int]  # their numbers in the data as they were opened

    @property
    def mark(self) -> str:
        """Return a fingerprint of these rows with these labels."""
        told = self.labels[self.positions].tolist()
        return hashlib.blake2b(repr((self.rows, told)).encode(), digest_size=12).hexdigest()


def given(recipe: Recipe, target: Domain, task: Task, setting: str) -> Given | None:
    """Read the file of labels of a recipe; None where there is none.

    At most ``target.labels_per_class`` rows of a class are taken. Rows whose label is empty, or unknown to the model,
    stay unlabelled.

    Args:
        recipe: the recipe.
        target: the target's data.
        task: the task.
        setting: the setting of the run.

    Raises:
        HubtlError: for a file of other data, and without a source.
    """
    if recipe.target.labels is None:
        return None
    if setting != "adaptation":
        raise HubtlError(
            "target.labels names target rows to learn from beside a labelled source, and there is no such source",
            hint="--source-dataset, or a label column of the target's own",
        )
    path = Path(recipe.target.labels).expanduser()
    found = [one for one in rowlabels.read(path) if one.label]
    labels = []
    for one in found:
        try:
            labels.append(task.typed(one.label))
        except HubtlError as error:
            raise HubtlError(f"{path.name}, line {one.line}, row {one.row}: {error}", hint=error.hint) from error
    positions = np.array(rowlabels.positions(found, target.train, target.columns, path), dtype=np.int64)
    read = np.stack(labels) if labels else np.zeros(0)
    known = task.present(read) if labels else np.zeros(0, dtype=bool)
    if not known.any():
        raise HubtlError(f"{path.name} gives no row a label", hint=rowlabels.HINT)
    positions, read = positions[known], read[known]
    if (k := recipe.target.few) is not None:
        chosen = task.few(read, k, np.random.default_rng([recipe.run.seed, k]))
        positions, read = positions[chosen], read[chosen]
    order = np.argsort(positions)
    positions, read = positions[order], read[order]
    every = np.zeros((len(target.train), *read.shape[1:]), dtype=read.dtype)
    every[positions] = read
    return Given(positions, every, [int(n) for n in rowlabels.row_numbers(target.train, positions.tolist())])
