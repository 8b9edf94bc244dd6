"""Where a transformers model's repeated layers are, and its attention."""

import re
from collections.abc import Iterable

from torch import nn

ATTENTION = re.compile(r"\.(qkv|q_proj|v_proj|query|value|q_lin|v_lin|query_proj|value_proj|q|v|kv|in_proj)$")
EARLY = re.compile(r"embed|conv_stem|feature_extractor|feature_projection|batch_norm|(^|\.)pre_?l")


def blocks_around(model: nn.Module, layers: Iterable[nn.Module]) -> list[tuple[str, list[nn.Parameter]]]:
    """Return ``embeddings``, ``layer0`` …, ``rest``: what comes before a model's repeated layers, they, and what comes after."""
    listed = [(f"layer{i}", list(layer.parameters())) for i, layer in enumerate(layers)]
    inside = {p for _, parameters in listed for p in parameters}
    before: list[nn.Parameter] = []
    after: list[nn.Parameter] = []
    met = False
    for name, parameter in model.named_parameters():
        if parameter in inside:
            met = True
        else:
            (before if not met or EARLY.search(name) else after).append(parameter)
    return [(n, p) for n, p in [("embeddings", before), *listed, ("rest", after)] if p]


def repeated(model: nn.Module) -> list[nn.Module]:
    """Return the model's list of layers: the one that holds the most parameters; empty where there is none."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    return list(max(lists, key=lambda found: sum(p.numel() for p in found.parameters()), default=[]))
