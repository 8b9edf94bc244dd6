"""MCD: maximum classifier discrepancy."""

from collections.abc import Iterator, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from hubtl.batch import Batch
from hubtl.losses.adversarial import disagreement, unevenness
from hubtl.losses.online import teacher_cross_entropy
from hubtl.modules import Encoder
from hubtl.strategy import Loss, Phase, Progress, Strategy, StrategyOptions
from hubtl.tasks import Task


class MCDOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the discrepancy; more classes need more")
    balance: float = Field(0.01, ge=0, description="weight of the unevenness of the mean target prediction")
    feature_steps: int = Field(4, ge=1, description="updates of the features for each update of the classifiers")
    classifier_width: int = Field(1024, ge=1, description="hidden width of the two adversarial classifiers")


class MCD(Strategy):
    """Train features that minimise the maximal discrepancy of two classifiers.

    ``d`` is the mean absolute difference of both softmax outputs on the target, and ``U`` the unevenness of their mean
    target predictions. Each step makes these updates:

    - all learn ``CE_1 + CE_2 + balance · U``;
    - the classifiers alone learn ``CE_1 + CE_2 + balance · U − weight · d``;
    - the features alone learn ``weight · d``, ``feature_steps`` times.

    The two have two hidden layers, with BatchNorm and dropout. A model that other libraries load ends in a linear
    layer, so a third, linear classifier is deployed. In the first of the updates it learns the source's labels with the
    others, and, on detached features, the mean of their predictions on the target.

    The domains go through separate forwards, as in the authors' code. The features have no momentum, the classifiers
    the run's: with momentum, five updates of features a batch would diverge. Deviation: the linear classifier; its
    source loss reaches the features, so that they separate the classes linearly. ``U`` and the weights are those of the
    Transfer Learning Library: 0.3 for ten digits (``balance`` 0.03), 10 to 30 for 31 to 65 classes.
    """

    Options = MCDOptions
    paper = "arXiv:1712.02560"
    defaults = {
        "optim.lr": 1e-3,
        "optim.schedule": "constant",
        "optim.weight_decay": 5e-4,
        "optim.backbone_lr_scale": 1.0,
        "model.bottleneck": 0,  # the classifiers that play have hidden layers of their own
    }

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        sizes = encoder.width, self.options.classifier_width, len(task.outputs.names)
        self.first, self.second = _classifier(*sizes), _classifier(*sizes)

    def phases(self) -> Sequence[Phase]:
        still = dict.fromkeys(self.features(), 0.0)
        return [Phase("adapt", self.step, ("source", "target"), self.learners(), momentum=still)]

    def features(self) -> tuple[str, ...]:
        """Return the names of the groups that are not classifiers."""
        return tuple(name for name in self.learners() if name not in ("head", "first", "second"))

    def play(self, zs: Tensor, zt: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return both classifiers' supervised loss and each one's target logits.

        The loss includes the balance term.

        Args:
            zs: source features [n, d].
            zt: target features [m, d].
            labels: labels [n] of the source rows.
        """
        task = self.task.loss(self.first(zs), labels) + self.task.loss(self.second(zs), labels)
        first, second = self.first(zt), self.second(zt)
        return task + self.options.balance * (unevenness(first) + unevenness(second)), first, second

    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:
        options = self.options
        zs, zt = self.encode(source).pooled, self.encode(target).pooled
        played, first, second = self.play(zs, zt, source.labels)
        task = self.task.loss(self.head(zs), source.labels)
        taught = (first.softmax(dim=1) + second.softmax(dim=1)).clamp_min(1e-12).log()
        copied = teacher_cross_entropy(self.head(zt.detach()), taught)
        yield Loss(played + task + copied, logs={"task": task, "copied": copied})

        with torch.no_grad():  # the classifiers alone learn now
            zs, zt = self.encode(source).pooled, self.encode(target).pooled
        played, first, second = self.play(zs, zt, source.labels)
        gap = disagreement(first, second)
        yield Loss(played - at.added * options.weight * gap, by=("first", "second"), logs={"discrepancy": gap})

        for _ in range(options.feature_steps):
            zt = self.encode(target).pooled
            gap = disagreement(self.first(zt), self.second(zt))
            yield Loss(at.added * options.weight * gap, by=self.features())


def _classifier(width: int, hidden: int, classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (width, hidden):
        layers += [nn.Dropout(0.5), nn.Linear(before, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, classes))
