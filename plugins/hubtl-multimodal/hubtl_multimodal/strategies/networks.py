"""Networks that play beside the model while it is adapted: critics, mimics, and what checks correspondence."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn


def small_critic(width: int, hidden: int = 128) -> nn.Sequential:
    """One hidden layer, one logit a row."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))


class ModalityCritics(nn.Module):
    """A domain critic for each modality's feature, whose gradient its caller reverses."""

    def __init__(self, modalities: Sequence[str], width: int) -> None:
        super().__init__()
        self.critics = nn.ModuleDict({name: small_critic(width) for name in modalities})

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features [b, d] of each modality to logits [b]."""
        return {name: critic(features[name])[:, 0] for name, critic in self.critics.items()}


class Mimics(nn.Module):
    """A second classifier for each modality, which learns what the fused prediction is (xMUDA)."""

    def __init__(self, modalities: Sequence[str], width: int, classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(width, classes) for name in modalities})

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features [b, d] of each modality to logits [b, c]."""
        return {name: head(features[name]) for name, head in self.heads.items()}


class Matcher(nn.Module):
    """Says of two modalities' features whether they come from one row; one network for each pair."""

    def __init__(self, modalities: Sequence[str], width: int, hidden: int = 100) -> None:
        super().__init__()
        self.pairs = list(combinations(modalities, 2))
        self.heads = nn.ModuleDict({f"{m}-{n}": small_critic(2 * width, hidden) for m, n in self.pairs})

    def forward(self, features: Mapping[str, Tensor], partners: Tensor) -> dict[tuple[str, str], tuple[Tensor, Tensor]]:
        """For each pair the logits [b] of matched features, and of those whose second is the partner's."""
        found = {}
        for m, n in self.pairs:
            first, second = features[m], features[n]
            both = torch.cat([torch.cat([first, second], 1), torch.cat([first, second[partners]], 1)])
            yes, no = self.heads[f"{m}-{n}"](both)[:, 0].chunk(2)
            found[(m, n)] = (yes, no)
        return found
