"""Provide the frame of methods on frozen features.

They sweep both domains, map the features, fit a linear classifier and fold everything into one linear layer.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from hubtl.batch import Batch
from hubtl.errors import HubtlError
from hubtl.modules import Classifier, Encoder
from hubtl.strategies.featurespace.maps import Scale, principal, standardisation
from hubtl.strategies.featurespace.regression import regress
from hubtl.strategy import Judging, Loss, Phase, Progress, Strategy, StrategyOptions, Sweep, Swept
from hubtl.tasks import Task


class FeatureSpaceOptions(StrategyOptions):
    penalty: float = Field(1e-3, ge=0, description="L2 penalty λ of the classifier: mean loss + λ/2 · ‖W‖²")


class Fit(NamedTuple):
    """Hold the target features and labels that a classifier is fitted to."""

    rows: Tensor  # [n, k]
    labels: Tensor  # [n] classes, or [n, c] shares of them
    basis: Tensor | None = None  # [d, k]: what ``rows`` are like is target rows times it; None: target rows


class FeatureSpace(Strategy):
    """Fit a linear classifier on frozen features in one step, without gradients.

    One phase and one step read all rows of both domains at once. A subclass writes ``fit``, which gets both domains'
    pooled features, scaled, and returns what a linear classifier is fitted to. The scale, a subclass's linear map and
    the classifier are multiplied out into one linear layer on the backbone's features, which is deployed. Everything is
    computed in float64 on the CPU, and is equal on every process. A width in ``model.bottleneck`` is read as a number
    of principal components of both domains together, to which the scaled features are reduced first.
    """

    Options = FeatureSpaceOptions
    judging = Judging(forgets_source=True)
    needs: ClassVar[tuple[str, ...]] = ("features", "rows")
    trains_backbone = False
    defaults = {
        "model.bottleneck": 0,
        "run.validator": "last",  # there is one candidate
        "optim.lr": 1e-1,  # of the baseline beside it: as for a linear probe
        "optim.schedule": "cosine",
    }

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        backbone: Any = encoder.backbone
        self.classifier = task.head(backbone.info.width)
        self.reached: Tensor
        self.register_buffer("reached", torch.tensor(0.0))

    @abstractmethod
    def fit(self, source: Tensor, labels: Tensor, target: Tensor) -> Fit:
        """Return the features and labels to fit the classifier to.

        Args:
            source: scaled source features [n, d], float64.
            labels: classes [n] of the source rows.
            target: scaled target features [m, d], float64.
        """

    def scales(self, source: Tensor, target: Tensor) -> tuple[Scale, Scale]:
        """Return the scales of the source's and the target's features.

        By default each domain is standardised by itself.
        """
        return standardisation(source), standardisation(target)

    def phases(self) -> Sequence[Phase]:
        return [Phase("fit", self.step, ("source", "target"), {}, steps=1, refresh=self.solve)]

    def deployed(self) -> Classifier:
        return Classifier(Encoder(self.encoder.backbone), self.classifier)

    def solve(self, sweep: Sweep, at: Progress) -> None:
        """Fit the classifier.

        Raises:
            HubtlError: for features that are not finite, and for a source without labels.
        """
        source, target = sweep("source"), sweep("target")
        xs, xt = _rows("source", source), _rows("target", target)
        labels = source.labels
        if labels is None:
            self.task.loss(source.logits, None)
        assert labels is not None
        own, scale = self.scales(xs, xt)
        zs, zt = own(xs), scale(xt)
        reduced = None
        if self.encoder.bottleneck is not None:
            reduced = principal(torch.cat([zs, zt]), min(self.encoder.width, zs.shape[1]))
            zs, zt = zs @ reduced, zt @ reduced
        fit = self.fit(zs, labels, zt)
        linear, reached = regress(
            fit.rows, fit.labels, self.classifier.out_features, self.task.loss, self.options.penalty
        )
        with torch.no_grad():
            weight = linear.weight.double()
            for basis in (fit.basis, reduced):
                weight = weight if basis is None else weight @ basis.T
            weight = weight / scale.std
            self.classifier.weight.copy_(weight)
            self.classifier.bias.copy_(linear.bias.double() - weight @ scale.mean)
            self.reached.fill_(reached)

    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:
        yield Loss(self.reached, logs={"task": self.reached})


class PropagationOptions(FeatureSpaceOptions):
    scaling: Literal["common", "domain"] = Field(
        "common", description="standardise features by both domains' rows together, or each domain by its own"
    )


class Propagation(FeatureSpace):
    """Propagate source labels to target training rows, then fit a classifier.

    A subclass writes ``propagate``. The linear classifier is fitted to the target's rows with the class shares that
    ``propagate`` gives them. Propagation alone labels only the rows that it saw; the classifier predicts any row.
    """

    Options = PropagationOptions
    needs = ("features", "probabilities", "rows")

    def scales(self, source: Tensor, target: Tensor) -> tuple[Scale, Scale]:
        if self.options.scaling == "domain":
            return super().scales(source, target)
        both = standardisation(torch.cat([source, target]))
        return both, both

    def fit(self, source: Tensor, labels: Tensor, target: Tensor) -> Fit:
        rows, shares = self.propagate(source, labels, target)
        return Fit(rows, shares)

    @abstractmethod
    def propagate(self, source: Tensor, labels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return target rows [m', d] and each one's class shares [m', c]. They are all rows or some.

        The shares of a row sum to one.

        Args:
            source: scaled source features [n, d], float64.
            labels: classes [n] of the source rows.
            target: scaled target features [m, d], float64.
        """


def _rows(name: str, seen: Swept) -> Tensor:
    if not torch.isfinite(seen.features).all():
        raise HubtlError(
            f"the backbone makes features of the {name} that are not finite",
            hint="--mixed-precision no, or another --model",
        )
    return seen.features.double()
