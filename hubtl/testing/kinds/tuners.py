"""The suite for a tuner: it chooses parameters, they learn, and the model has its own shape again afterwards."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hubtl.backbones.base import Backbone
from hubtl.testing.kinds.suite import Suite, declared, documented
from hubtl.testing.net import toy_images, toy_net
from hubtl.tuners import Tuner

STEPS, OUTPUTS = 5, 3
MERGED = 1e-4  # how far outputs may be from those before merging


class TunerSuite(Suite):
    """The suite for one tuner.

    Args:
        cls: the tuner.
        backbone: makes the backbone that it is tried on; by default a small network of convolutions.
        **options: options of the tuner.
    """

    kind = "tuners"
    mends: ClassVar[Mapping[str, str]] = {
        "documents": "write a docstring, and Field(…, description=…) for each option",
        "applies": "apply(backbone) sets requires_grad of the backbone's parameters, by names or blocks(), and draws nothing "
        "unseeded",
        "copies": "keep what apply adds in modules of the backbone: a run makes a copy for every model that it trains",
        "learns": "set requires_grad to False for what shall stay; use every parameter that learns in the forward",
        "merges": "write merge(backbone): fold what apply added into the backbone's own parameters, and take it out",
    }

    def __init__(self, cls: type[Tuner], backbone: Callable[[], Backbone] = toy_net, **options: Any) -> None:
        self.cls, self.make, self.options = cls, backbone, options

    def _tuned(self) -> tuple[Tuner, Backbone]:
        backbone = self.make()
        torch.manual_seed(0)
        tuner = self.cls(self.cls.Options(**self.options))
        tuner.apply(backbone)
        return tuner, backbone

    def documents(self) -> None:
        """The class has a docstring, and every option is described. Each option's default is within its bounds."""
        declared(self.kind, self.cls)
        documented(self.cls)

    def applies(self) -> None:
        """The same parameters learn at each call. The backbone still makes finite features."""
        first, second = (self._tuned()[1] for _ in range(2))
        assert _learning(first) == _learning(second), "other parameters learn at the second call"
        same = all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
        assert same, "what it adds differs from call to call with the same seed"
        features = _features(first)
        assert features.shape == (16, first.info.width), f"features of shape {tuple(features.shape)}"
        assert bool(features.isfinite().all()), "features that are not finite"

    def copies(self) -> None:
        """A copy of the tuned backbone gives equal answers. It learns by itself."""
        _, backbone = self._tuned()
        other = copy.deepcopy(backbone)
        assert torch.equal(_features(other), _features(backbone)), "a copy makes other features"
        assert _learning(other) == _learning(backbone), "other parameters of a copy learn"
        assert not set(other.parameters()) & set(backbone.parameters()), "a copy shares parameters with the original"

    def learns(self) -> None:
        """Chosen parameters get a gradient and move; everything else stays bit-equal."""
        _, backbone = self._tuned()
        before = {name: p.detach().clone() for name, p in backbone.named_parameters()}
        reached = _train(backbone)
        chosen = _learning(backbone)
        idle = sorted(chosen - reached)
        assert not idle, f"chosen, and no gradient reaches: {', '.join(idle[:5])}"
        moved = {name for name, p in backbone.named_parameters() if not torch.equal(before[name], p)}
        assert chosen == moved, (
            f"moved without being chosen, or chosen and not moved: {', '.join(sorted(chosen ^ moved))}"
        )

    def merges(self) -> None:
        """After training and merging, the backbone has its own parameters again. It makes equal features."""
        tuner, backbone = self._tuned()
        _train(backbone)
        before = _features(backbone)
        tuner.merge(backbone)
        after, original = _features(backbone), self.make()
        gap = float((after - before).abs().max())
        assert gap <= MERGED * max(1.0, float(before.abs().max())), f"merging changes the features by up to {gap:.3g}"
        shapes, own = ({n: tuple(t.shape) for n, t in m.state_dict().items()} for m in (backbone, original))
        odd = sorted({n for n in shapes.keys() | own.keys() if shapes.get(n) != own.get(n)})
        assert not odd, f"after merging, not the backbone's own: {', '.join(odd[:5])}"


def _learning(backbone: nn.Module) -> set[str]:
    return {name for name, p in backbone.named_parameters() if p.requires_grad}


def _features(backbone: nn.Module) -> Tensor:
    with torch.no_grad():
        pooled: Tensor = backbone.eval()(toy_images()).pooled
    return pooled


def _train(backbone: Backbone) -> set[str]:
    """Take some steps, BatchNorm's statistics left alone; returns the parameters that a gradient reached."""
    generator = torch.Generator().manual_seed(2)
    wanted = torch.randn(16, OUTPUTS, generator=generator)
    head = nn.Linear(backbone.info.width, OUTPUTS)
    named = {name: p for name, p in backbone.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD([*named.values(), *head.parameters()], lr=0.05)
    reached: set[str] = set()
    backbone.eval()
    for _ in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        F.mse_loss(head(backbone(toy_images()).pooled), wanted).backward()
        reached |= {name for name, p in named.items() if p.grad is not None and bool(p.grad.any())}
        optimizer.step()
    return reached
