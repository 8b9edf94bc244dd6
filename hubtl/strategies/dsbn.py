"""DSBN: one network with separate BatchNorms for each domain."""

import copy
from collections.abc import Iterator, Sequence

from pydantic import Field
from torch import Tensor, nn

from hubtl.batch import Batch, Features
from hubtl.errors import HubtlError
from hubtl.losses import class_confusion
from hubtl.modules import Classifier, Encoder
from hubtl.strategy import Judging, Loss, Phase, Progress, Strategy, StrategyOptions
from hubtl.tasks import Task


class DomainNorm(nn.Module):
    """Hold one BatchNorm for each domain; ``domain`` selects which one is used."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.source = norm
        self.target = copy.deepcopy(norm)
        self.domain = "target"

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.source(x) if self.domain == "source" else self.target(x)
        return y


def split(module: nn.Module) -> int:
    """Replace every BatchNorm below a module by a DomainNorm, in place; return their number."""
    count = 0
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            setattr(module, name, DomainNorm(child))
            count += 1
        else:
            count += split(child)
    return count


def merged(module: nn.Module) -> nn.Module:
    """Return the module with the target's plain BatchNorms: a new structure, the same tensors."""
    shared = {id(tensor): tensor for tensor in [*module.parameters(), *module.buffers()]}
    plain = copy.deepcopy(module, shared)
    for parent in [m for m in plain.modules() if not isinstance(m, DomainNorm)]:
        for name, child in list(parent.named_children()):
            if isinstance(child, DomainNorm):
                setattr(parent, name, child.target)
    return plain


class DSBNOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the target's class confusion")
    temperature: float = Field(2.5, gt=0, description="softens the target predictions")


class DSBN(Strategy):
    """Share every weight between the domains except BatchNorm's.

    Each domain has statistics, scales and shifts of its own.
    ``L = task(h(f_S(x_s)), y_s) + weight · confusion(h(f_T(x_t)))``: ``f_S`` and ``f_T`` differ in their BatchNorms
    alone. The confusion is MCC's (``hubtl.losses.class_confusion``), from which the target's scales learn.

    The domains go through separate forwards. The target's BatchNorms are deployed, as plain layers. Raises HubtlError
    for a network without BatchNorm. Deviation: the paper trains with MSTN or CPUA, then with pseudo labels in a second
    stage; this takes one stage and the confusion.
    """

    Options = DSBNOptions
    paper = "arXiv:1906.03950"
    judging = Judging(improves=("infomax", "bnm"), forgets_source=True)
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self._count = split(encoder)

    def phases(self) -> Sequence[Phase]:
        if self._count == 0:
            raise HubtlError(
                "dsbn gives each domain BatchNorm layers of its own, and this network has none",
                hint="--model resnet50, --bottleneck 256, or another --strategy",
            )
        return super().phases()

    def deployed(self) -> Classifier:
        encoder = merged(self.encoder)
        assert isinstance(encoder, Encoder)
        return Classifier(encoder, self.head)

    def seen_as(self, domain: str, batch: Batch) -> Features:
        """Return the features of a batch under the BatchNorms of a domain."""
        norms = [m for m in self.encoder.modules() if isinstance(m, DomainNorm)]
        for norm in norms:
            norm.domain = domain
        features = self.encode(batch)
        for norm in norms:
            norm.domain = "target"
        return features

    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:
        task = self.task.loss(self.head(self.seen_as("source", source).pooled), source.labels)
        logits = self.head(self.seen_as("target", target).pooled)
        confusion = class_confusion(logits, self.options.temperature)
        yield Loss(task + at.added * self.options.weight * confusion, logs={"task": task, "confusion": confusion})
