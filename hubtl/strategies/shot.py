"""SHOT: source-free adaptation with a frozen head."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hubtl.batch import Batch
from hubtl.errors import HubtlError
from hubtl.losses import entropy
from hubtl.losses.selftraining import centroid_labels, diversity
from hubtl.modules import Encoder
from hubtl.strategies.sourcefree import SourceFree, SourceFreeOptions
from hubtl.strategy import Judging, Learner, Loss, Progress, StrategyOptions, Sweep
from hubtl.tasks import Task


class SHOTOptions(SourceFreeOptions):
    entropy_weight: float = Field(1.0, ge=0, description="weight of the entropy of each target prediction")
    diversity_weight: float = Field(1.0, ge=0, description="weight of the entropy of the mean prediction; partial: 0")
    pseudo_weight: float = Field(0.3, ge=0, description="weight of the cross-entropy on pseudo labels")
    rounds: int = Field(2, ge=1, description="rounds of centroid computation and labelling")
    min_count: int = Field(0, ge=0, description="leave out classes predicted for no more rows than this; partial: 10")


class SHOT(SourceFree):
    """Keep the source's head and adapt the encoder to the target alone.

    Target predictions become confident and diverse, and features move to their class's centroid.

    Phase ``source``: cross-entropy with label smoothing, on weak views. Phase ``adapt``, head frozen, target alone: ``L
    = H(p) mean − H(mean p) + pseudo_weight · CE(p, ŷ)``. ``ŷ`` is recomputed for the whole target before each pass, and
    evenly at least ``refreshes`` times in a shorter phase; the authors make fifteen passes. It is the nearest of soft
    class centroids by cosine, twice (``hubtl.losses.selftraining.centroid_labels``).

    Where the target is known to lack classes of the source (a partial set), the diversity is left out and rare classes
    take no part in the labelling, as in the paper.

    Each phase reads one domain: BatchNorm moves to the target's statistics. Deviations: the head is a plain linear
    layer without weight normalisation, and both phases are counted in updates and end with the last iterate. The
    authors weigh the pseudo labels 0.3, and 0.1 on digits.
    """

    Options = SHOTOptions
    paper = "arXiv:2002.08546"
    needs: ClassVar[tuple[str, ...]] = ("features", "probabilities", "rows")
    judging = SourceFree.judging | Judging(improves=("infomax", "bnm"))
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}
    suits = {"closed": {}, "partial": {"diversity_weight": 0.0, "min_count": 10}}
    memories = ("pseudo",)
    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "entropy": {"entropy_weight": 0.0},
        "diversity": {"diversity_weight": 0.0},
        "pseudo-labels": {"pseudo_weight": 0.0},
    }

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.pseudo: Tensor
        self.register_buffer("pseudo", torch.empty(0, dtype=torch.long))

    def adapting(self) -> dict[str, Learner]:
        return {name: learner for name, learner in self.learners().items() if name != "head"}

    def refreshing(self) -> Any:
        return self.relabel if self.options.pseudo_weight > 0 else None

    def relabel(self, sweep: Sweep, at: Progress) -> None:
        """Recompute the pseudo labels of the whole target with the current model."""
        seen = sweep("target")
        options = self.options
        if seen.logits.ndim > 2:
            raise HubtlError(
                f"pseudo_weight: {self.task.name} has one row for each place, and pseudo labels are of whole inputs",
                hint="--set pseudo_weight=0",
            )
        labels = centroid_labels(seen.features, seen.logits, rounds=options.rounds, min_count=options.min_count)
        self.remember("pseudo", labels)

    def step(self, target: Batch, *, at: Progress) -> Iterator[Loss]:
        logits = self.head(self.encode(target).pooled).float()
        unsure, diverse = entropy(logits).mean(), diversity(logits)
        total = self.options.entropy_weight * unsure - self.options.diversity_weight * diverse
        logs = {"entropy": unsure, "diversity": diverse}
        if self.options.pseudo_weight > 0:
            logs["pseudo"] = F.cross_entropy(logits, self.pseudo[self.rows(target)])
            total = total + self.options.pseudo_weight * logs["pseudo"]
        yield Loss(at.added * total, logs=logs)


class SHOTIMOptions(SHOTOptions):
    pseudo_weight: float = Field(0.0, ge=0, description="weight of the cross-entropy on pseudo labels")


class SHOTIM(SHOT):
    """Run SHOT without pseudo labels.

    ``L = H(p) mean − H(mean p)`` in the phase ``adapt``; everything else as in SHOT.
    """

    Options = SHOTIMOptions
    needs = ("features", "probabilities")
    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: changes for name, changes in SHOT.ablations.items() if name != "pseudo-labels"
    }
