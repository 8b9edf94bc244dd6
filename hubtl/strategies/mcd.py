"""MCD: features on which two classifiers cannot disagree."""

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor, nn

from hubtl.batch import Batch
from hubtl.losses.adversarial import disagreement
from hubtl.losses.selftraining import diversity
from hubtl.modules import Encoder
from hubtl.strategy import Loss, Progress, Strategy, StrategyOptions
from hubtl.tasks import Task


class MCDOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the discrepancy; more classes need more")
    balance: float = Field(0.01, ge=0, description="weight of the entropy of the mean target prediction")
    feature_steps: int = Field(4, ge=1, description="updates of the features for one of the classifiers")


class MCD(Strategy):
    """Let two classifiers disagree on the target as much as they can, and move its features to where they cannot.

    With ``d`` the mean absolute difference of both softmax outputs on the target, an update is: all learn
    ``CE_1 + CE_2 − balance · H(mean p_t)``; the classifiers alone learn ``CE_1 + CE_2 − weight · d``; the features
    alone learn ``weight · d``, ``feature_steps`` times.

    Both domains go through one forward, dropout included. Deviations: each classifier is one linear layer, drawn anew,
    so that the first ships inside a plain model; the optimiser is the run's for every group.
    """

    Options = MCDOptions
    paper = "arXiv:1712.02560"
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.second = task.head(encoder.width)

    def both(self, source: Batch, target: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The supervised loss of both classifiers, the target's logits of each, and their discrepancy."""
        fs, ft = self.encode_joint(source, target)
        task = self.task.loss(self.head(fs.pooled), source.labels) + self.task.loss(
            self.second(fs.pooled), source.labels
        )
        first, second = self.head(ft.pooled), self.second(ft.pooled)
        return task, first, second, disagreement(first, second)

    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:  # type: ignore[override]
        options = self.options
        task, first, second, _ = self.both(source, target)
        even = diversity(first) + diversity(second)
        yield Loss(task - options.balance * even, logs={"task": task})
        task, first, second, gap = self.both(source, target)
        even = diversity(first) + diversity(second)
        yield Loss(
            task - at.added * options.weight * gap - options.balance * even,
            by=("head", "second"),
            logs={"discrepancy": gap},
        )
        features = tuple(name for name in self.learners() if name not in ("head", "second"))
        for _ in range(options.feature_steps):
            gap = self.both(source, target)[3]
            yield Loss(at.added * options.weight * gap, by=features)
