"""AaD: attract neighbours in feature space, disperse the rest of the batch."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hubtl.batch import Batch
from hubtl.losses.selftraining import attraction, dispersion, neighbours
from hubtl.modules import Encoder
from hubtl.ranks import all_rows
from hubtl.strategies.sourcefree import SourceFree, SourceFreeOptions
from hubtl.strategy import Judging, Loss, Progress, StrategyOptions, Sweep
from hubtl.tasks import Task


class AADOptions(SourceFreeOptions):
    neighbours: int = Field(5, ge=1, description="number of neighbours that attract each row")
    dispersion: float | None = Field(
        None, ge=0, description="weight of the dispersion; default: classes / rows of a batch, at most 1"
    )
    decay: float = Field(0.0, ge=0, description="decay of the dispersion: (1 + 10 · fraction) ** -decay; 0: none")


class AAD(SourceFree):
    """Attract target predictions to those of their neighbours, and disperse the rest.

    ``L = mean_i(−Σ_{j ∈ kNN(i)} p_i · s_j + λ · Σ_{m ≠ i} p_i · p_m)``, ``λ = dispersion · (1 + 10 ·
    fraction)^(−decay)``. Memory banks hold the normalised feature and the softmax ``s`` of every target row. A sweep
    fills them before each pass, and at least ``refreshes`` times. In each step the rows of the batch, of all processes,
    are updated before neighbours are searched.

    Deviation: the weight of the dispersion does not fade, and is ``classes / rows`` of a batch (at most 1). Each row is
    thus held against one other row of its class on average. The authors start at weight 1 and let it fade. They use
    decay 0 and 3 neighbours on Office-Home, 1 and 3 on Office-31, 5 and 5 on VisDA, with batches of 64, which hold
    about one row of a class. A dispersion that fades too early leaves attraction alone, and predictions collapse. One
    that holds a row against thirty of its class drives them apart.

    With a source, a phase of cross-entropy with label smoothing comes first. Each phase reads one domain: BatchNorm
    moves to the target's statistics. Head and encoder learn in both, as in the authors' code. Deviation: the banks are
    also refilled while training goes on.
    """

    Options = AADOptions
    paper = "arXiv:2205.04183"
    needs = ("features", "probabilities", "rows")
    judging = SourceFree.judging | Judging(improves=("infomax", "bnm"))
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}
    memories = ("features", "scores")

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.features: Tensor
        self.scores: Tensor
        self.register_buffer("features", torch.empty(0, encoder.width))
        self.register_buffer("scores", torch.empty(0, len(task.outputs.names)))

    def refreshing(self) -> Any:
        return self.fill

    def fill(self, sweep: Sweep, at: Progress) -> None:
        """Fill the banks with features and predictions of the current model."""
        seen = sweep("target")
        self.remember("features", F.normalize(seen.features, dim=1))
        self.remember("scores", seen.logits.softmax(dim=1))

    def strength(self, at: Progress, rows: int) -> float:
        """Return λ, the weight of the dispersion.

        Args:
            at: the progress of the phase.
            rows: the number of rows in the batch.
        """
        own = self.options.dispersion
        weight = min(1.0, len(self.task.outputs.names) / rows) if own is None else own
        return float(weight * (1 + 10 * at.fraction) ** -self.options.decay)

    def step(self, target: Batch, *, at: Progress) -> Iterator[Loss]:
        rows = self.rows(target)
        z = self.encode(target).pooled
        p = self.head(z).float().softmax(dim=1)
        unit = F.normalize(z.detach().float(), dim=1)
        seen = all_rows(rows)
        self.features[seen], self.scores[seen] = all_rows(unit), all_rows(p.detach())
        near = neighbours(unit, self.features, rows, self.options.neighbours)
        attract, disperse = attraction(p, near, self.scores), dispersion(p)
        total = attract + self.strength(at, len(p)) * disperse
        yield Loss(at.added * total, logs={"attraction": attract, "dispersion": disperse})
