"""Define the small networks of adaptation. Affine ones fold into a head."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from hubtl.batch import Features, Inputs
from hubtl.plugins.blame import broken

Module = TypeVar("Module", bound=nn.Module)


class Bottleneck(nn.Sequential):
    """Apply a linear layer and BatchNorm, without a non-linearity.

    In eval mode it is affine, so that it folds into a linear head. The design of SHOT (arXiv:2002.08546).
    """

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__(nn.Linear(width_in, width), nn.BatchNorm1d(width))
        self.width = width


class Encoder(nn.Module):
    """Combine a backbone and an optional bottleneck on its pooled features."""

    def __init__(self, backbone: nn.Module, bottleneck: nn.Module | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.bottleneck = bottleneck
        info: Any = getattr(backbone, "info", None)
        own: Any = getattr(bottleneck, "width", None)
        self.width: int = own if bottleneck is not None else info.width

    def forward(self, inputs: Inputs, present: Mapping[str, Tensor] | None = None) -> Features:
        # rows of a frozen backbone's features, from the cache, come in place of what it would make of the inputs
        features = Features(inputs["features"]) if "features" in inputs else self.backbone(inputs, present)
        self._check(features, inputs)
        if self.bottleneck is None:
            return features
        return features._replace(pooled=self.bottleneck(features.pooled))

    def _check(self, features: Any, inputs: Inputs) -> None:
        """Check the features that a backbone returns. It may come from a plugin.

        Raises:
            HubtlError: for anything that is not features of the inputs.
        """
        pooled = features.pooled if isinstance(features, Features) else None
        sites = features.sites if isinstance(features, Features) else 1
        wanted = (next(iter(inputs.values())).shape[0] * sites, self.backbone.info.width)  # type: ignore[union-attr]
        if isinstance(pooled, Tensor) and tuple(pooled.shape) == wanted and pooled.is_floating_point():
            return
        found = (
            f"{pooled.dtype} of shape {tuple(pooled.shape)}" if isinstance(pooled, Tensor) else type(features).__name__
        )
        raise broken(self.backbone, f"makes {found} of {wanted[0]} rows", f"Features(pooled) of shape {wanted}, floats")


class Classifier(nn.Module):
    """Map inputs to logits by an encoder and a head; it is evaluated and saved.

    Logits are [b, c], and [b, sites, c] where features have several sites an input.
    """

    def __init__(self, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, inputs: Inputs, present: Mapping[str, Tensor] | None = None) -> Tensor:
        features = self.encoder(inputs, present)
        return by_input(self.head(features.pooled), features.sites)


def by_input(rows: Tensor, sites: int) -> Tensor:
    """Return rows [b · sites, d] as [b, sites, d]; with one site an input they stay [b, d]."""
    return rows if sites == 1 else rows.unflatten(0, (-1, sites))


class Critic(nn.Module):
    """Discriminate domains: two hidden layers, one logit a row for each pair of domains.

    There is no sigmoid, since the loss works on logits.
    """

    def __init__(self, width: int, hidden: int = 1024, *, batchnorm: bool = True, pairs: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before in (width, hidden):
            layers.append(nn.Linear(before, hidden))
            if batchnorm:
                layers.append(nn.BatchNorm1d(hidden))
            layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, pairs))

    def forward(self, features: Float[Tensor, "b d"], pair: int = 0) -> Float[Tensor, "b"]:
        verdict: Tensor = self.layers(features)[:, pair]
        return verdict


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.scale * gradients[0], None


def reverse_gradient(features: Tensor, scale: float) -> Tensor:
    """Return the features unchanged; backward, multiply the gradient by ``-scale`` (arXiv:1505.07818).

    It does not apply ``at.reversal``: strategies call ``Strategy.reverse``.

    Args:
        features: features of any shape.
        scale: the factor.
    """
    apply: Callable[[Tensor, float], Tensor] = _ReverseGradient.apply
    return apply(features, scale)


def norm_preserving_dropout(features: Float[Tensor, "b d"], p: float, training: bool) -> Float[Tensor, "b d"]:
    """Apply dropout that keeps the expected squared norm of a row: ``z · mask / √(1 − p)``.

    The expectation of the row itself is not kept.

    Args:
        features: features [b, d].
        p: the share of features that are dropped.
        training: False returns the features unchanged.
    """
    return F.dropout(features, p, training) * (math.sqrt(1 - p) if training else 1.0)


@torch.no_grad()
def fold(bottleneck: nn.Module | None, head: nn.Module) -> nn.Linear:
    """Fold a bottleneck and a head into one linear layer. It is on the CPU.

    It computes ``head(bottleneck(x))`` in eval mode, multiplied out in float64. Neither module is changed.

    Args:
        bottleneck: an affine module or None.
        head: an affine module.

    Raises:
        TypeError: for modules that are not affine; those cannot ship inside a plain classifier.
    """
    if not isinstance(head, nn.Linear):
        raise TypeError(f"a {type(head).__name__} head is not linear and does not fold")
    last = _double(head)
    match [] if bottleneck is None else list(bottleneck.children()):
        case []:
            weight, bias = last.weight, _bias(last)
        case [nn.Linear() as linear]:
            first = _double(linear)
            weight, bias = last.weight @ first.weight, last.weight @ _bias(first) + _bias(last)
        case [nn.Linear() as linear, nn.BatchNorm1d() as norm]:
            fused = fuse_linear_bn_eval(_double(linear), _double(norm))
            weight = last.weight @ fused.weight
            bias = last.weight @ fused.bias + _bias(last)
        case layers:
            raise TypeError(f"a {type(bottleneck).__name__} of {[type(m).__name__ for m in layers]} does not fold")
    folded = nn.Linear(weight.shape[1], weight.shape[0])
    folded.weight.copy_(weight)
    folded.bias.copy_(bias)
    return folded


def _double(module: Module) -> Module:
    return copy.deepcopy(module).cpu().double().eval()


def _bias(linear: nn.Linear) -> Tensor:
    return torch.zeros(linear.out_features, dtype=torch.float64) if linear.bias is None else linear.bias
