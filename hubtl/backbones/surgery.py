"""Replace the last linear layer of a classifier by another one."""

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from hubtl.backbones.base import ImageInput
from hubtl.backbones.weights import check_finite
from hubtl.errors import HubtlError


def last_linear(model: nn.Module, outputs: int) -> str:
    """Return the name of the last linear layer with that many outputs; its inputs are the features.

    Raises:
        HubtlError: where there is none.
    """
    modules: Mapping[str, nn.Module] = dict(model.named_modules())
    names = [name for name, m in modules.items() if isinstance(m, nn.Linear) and m.out_features == outputs]
    if not names:
        raise HubtlError(
            f"{type(model).__name__} does not end in a linear layer: its features cannot be told from its classifier",
            hint="choose another model",
        )
    return names[-1]


@torch.no_grad()
def take_out(model: nn.Module, name: str, spec: ImageInput, run: Callable[[Tensor], Tensor]) -> nn.Linear:
    """Replace the classifier by an identity, and return it.

    A forward pass on noise comes first. The model must accept images of that size, and its logits must equal that
    layer's outputs on one row of features per image. Otherwise an export would not compute what was trained.

    Args:
        model: the model, changed in place.
        name: the qualified name of the classifier.
        spec: the model's input.
        run: maps images to logits.

    Raises:
        HubtlError: otherwise, for models with two heads for example.
    """
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    check_finite(model.state_dict(), f"the weights of {type(model).__name__}", hint="download or train the model again")
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    training = model.training
    model.eval()
    images = torch.randn(2, spec.channels, spec.size, spec.size, generator=torch.Generator().manual_seed(0))
    try:
        logits = run(images)
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        first = " ".join(str(error).split())[:160]
        raise HubtlError(
            f"{type(model).__name__} does not take images of {spec.size} pixels: {first}",
            hint="another --image-size, or leave it out",
        ) from error
    finally:
        handle.remove()
        model.train(training)
    if len(seen) != 1 or seen[0].ndim != 2 or not torch.allclose(layer(seen[0]), logits, rtol=1e-3, atol=1e-4):
        raise HubtlError(
            f"{type(model).__name__} has more than one linear layer for a head: no features make its logits",
            hint="choose another model; of a distilled one, its variant with one head",
        )
    replace(model, name, nn.Identity())
    return layer


def weights_of(layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Return copies of a linear layer's weight [z, d] and bias [z]. They are float32; the bias is zeros without one."""
    bias = torch.zeros(layer.out_features) if layer.bias is None else layer.bias.detach().float().clone()
    return layer.weight.detach().float().clone(), bias


def replace(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module at a qualified name."""
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)


def with_classifier(model: nn.Module, name: str, classifier: nn.Linear) -> nn.Module:
    """Return a copy of the model with a new last layer.

    The layer is a classifier; the copy is on the CPU and in eval mode.
    """
    whole = copy.deepcopy(model).cpu().eval()
    replace(whole, name, copy.deepcopy(classifier).cpu())
    for p in whole.parameters():
        p.requires_grad_(True)
    return whole


def linear_names(model: nn.Module) -> list[str]:
    """Return every linear layer, by qualified name."""
    return [name for name, m in model.named_modules() if isinstance(m, nn.Linear)]


def convolution_names(model: nn.Module) -> list[str]:
    """Return every convolution that LoRA can adapt: those without groups."""
    return [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
