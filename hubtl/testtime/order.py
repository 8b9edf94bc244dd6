"""Order the rows of a stream. Orders that mislead an adapting model are detected."""

import numpy as np
import torch
from torch import Tensor

from hubtl.tasks import Task
from hubtl.tasks.classification.measuring import collapse

FEWEST = 24  # rows of which an order can be judged
RUNS = 0.3  # share of neighbours that are called alike beyond chance
SURE = 4.0  # standard deviations of chance
KEPT = 2**24  # logits of the frozen model that are kept: a longer stream is judged by its beginning


def order_of(n: int, seed: int | None) -> np.ndarray:
    """Return a random order of ``n`` rows; for no seed, the given order (a stream).

    Args:
        n: the number of rows.
        seed: seed of the order, or None.
    """
    return np.arange(n) if seed is None else np.random.default_rng(seed).permutation(n)


def batches_of(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut rows into batches.

    A single remaining row joins the last batch, as it has no statistics of its own.

    Args:
        rows: positions of the rows, in order.
        size: rows of a batch.
    """
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts


class Witness:
    """Watch a stream's predictions and report when not to trust them.

    It reads no label. ``frozen`` logits are those of the model before adaptation: they show runs of one class, which
    the batch statistics of the adapting model can hide.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._frozen: list[Tensor] = []
        self._room = max(FEWEST, KEPT // classes)  # rows
        self._answers: list[int] = []

    def see(self, answers: Tensor, frozen: Tensor | None = None) -> None:
        """Record the answers of a batch.

        Args:
            answers: logits [b, c] of the adapting model.
            frozen: logits [b, c] of the frozen model, if the rows come in the stream's own order.
        """
        self._answers += answers.argmax(dim=1).tolist()
        if frozen is not None and self._room > 0:
            self._frozen.append(frozen[: self._room].float())
            self._room -= len(frozen)

    def said(self, collapses: int = 0) -> list[str]:
        """Return warnings: label runs, resets on collapse, and answers of nearly one class."""
        found = []
        if (alike := _runs(self._frozen)) is not None:
            found.append(
                f"the stream is sorted by class, or nearly: the frozen model finds {alike[0]:.0%} of neighbouring rows "
                f"alike, {alike[1]:.0%} would be chance; what is learnt from one class misleads on the next"
            )
        if collapses:
            found.append(f"the answers collapsed to few classes, and the model was taken back: {collapses} times")
        if len(self._answers) >= FEWEST:
            counts = np.bincount(self._answers, minlength=self.classes)
            if reason := collapse(counts, self.classes):
                found.append(f"the adapting model's answers look collapsed: {reason}")
        return found


def witness_of(task: Task) -> Witness | None:
    """Make a witness of a stream for a task; None for tasks without single classes."""
    return Witness(len(task.outputs.names)) if task.probabilities else None


def _runs(frozen: list[Tensor]) -> tuple[float, float] | None:
    """Return the share of neighbouring rows with equal class. The share by chance comes with it.

    Returns None unless the first is far above the second. A row's class is the one whose logit is highest relative to
    the other rows of the stream, because on shifted rows the plain logits may favour one class alone.
    """
    n = sum(map(len, frozen))
    if n < FEWEST:
        return None
    logits = torch.cat(frozen)
    called = ((logits - logits.mean(dim=0)) / logits.std(dim=0).clamp_min(1e-6)).argmax(dim=1).numpy()
    shares = np.bincount(called) / n
    chance = float((shares**2).sum())
    if chance >= 1:
        return None
    alike = float((called[1:] == called[:-1]).mean())
    spread = float(np.sqrt(chance * (1 - chance) / (n - 1)))
    far = alike - chance > SURE * spread and (alike - chance) / (1 - chance) > RUNS
    return (alike, chance) if far else None
