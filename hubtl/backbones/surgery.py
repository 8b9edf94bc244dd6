"""Taking the last linear layer out of a classifier, and putting another one in its place."""

import copy
from collections.abc import Sequence

from torch import nn

from hubtl.errors import HubtlError


def last_linear(model: nn.Module, classes: int) -> str:
    """The qualified name of the last linear layer with one output a class: what it sees are the pooled features.

    Raises HubtlError where there is none.
    """
    names = [name for name, m in model.named_modules() if isinstance(m, nn.Linear) and m.out_features == classes]
    if not names:
        raise HubtlError(
            f"{type(model).__name__} does not end in a linear layer: its features cannot be told from its classifier",
            hint="choose another model",
        )
    return names[-1]


def replace(model: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """Put a module at a qualified name, and return the one that was there."""
    parent, _, leaf = name.rpartition(".")
    owner = model.get_submodule(parent)
    before = getattr(owner, leaf)
    setattr(owner, leaf, module)
    assert isinstance(before, nn.Module)
    return before


def with_classifier(model: nn.Module, name: str, classifier: nn.Linear) -> nn.Module:
    """A copy of the model, on the CPU and in eval mode, with a classifier where the last linear layer was."""
    whole = copy.deepcopy(model).cpu().eval()
    replace(whole, name, copy.deepcopy(classifier).cpu())
    for p in whole.parameters():
        p.requires_grad_(True)
    return whole


def linear_names(model: nn.Module) -> list[str]:
    """Every linear layer, by qualified name."""
    return [name for name, m in model.named_modules() if isinstance(m, nn.Linear)]


def in_blocks(model: nn.Module, prefixes: Sequence[Sequence[str]]) -> list[tuple[str, list[nn.Parameter]]]:
    """Parameters grouped by the first of the name prefixes that they match; what matches none joins the last block."""
    blocks: list[tuple[str, list[nn.Parameter]]] = [("+".join(p), []) for p in prefixes]
    for name, parameter in model.named_parameters():
        fitting = [i for i, ps in enumerate(prefixes) if any(name == p or name.startswith(f"{p}.") for p in ps)]
        blocks[fitting[0] if fitting else -1][1].append(parameter)
    return [(name, ps) for name, ps in blocks if ps]
