"""The order in which rows pass a model that adapts to them, and what an order that misleads it looks like."""

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
    """Return an order of ``n`` rows drawn from ``seed``, or the given one for None, a stream."""
    return np.arange(n) if seed is None else np.random.default_rng(seed).permutation(n)


def batches_of(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut rows into batches; a single row that would remain joins the last, as it has no statistics of its own."""
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts


class Witness:
    """Looks at the predictions of a stream, and says where its order or the adapting model is not to be trusted.

    No label is read. ``frozen`` logits are those of the model as it was: runs of classes show in what it says, while
    the statistics of a batch of one class can hide them from the adapting one.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._frozen: list[Tensor] = []
        self._room = max(FEWEST, KEPT // classes)  # rows
        self._answers: list[int] = []

    def see(self, answers: Tensor, frozen: Tensor | None = None) -> None:
        """Note the answers of a batch, and the frozen model's where the order is the stream's own."""
        self._answers += answers.argmax(dim=1).tolist()
        if frozen is not None and self._room > 0:
            self._frozen.append(frozen[: self._room].float())
            self._room -= len(frozen)

    def said(self, collapses: int = 0) -> list[str]:
        """Return what to mind: label runs, resets on collapse, and answers that are nearly all one class."""
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
    """Make a witness of a stream for a task; None where no answer is one class, and nothing can be told."""
    return Witness(len(task.outputs.names)) if task.probabilities else None


def _runs(frozen: list[Tensor]) -> tuple[float, float] | None:
    """The share of neighbours called alike and the one by chance, where the first is far above; else None.

    A row is called by the class whose logit lies highest beside the other rows' of the stream: on shifted rows the
    plain logits may name one class alone.
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
