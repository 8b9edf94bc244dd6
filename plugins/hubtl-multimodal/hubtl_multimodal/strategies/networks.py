"""Define the auxiliary networks of the adaptation: critics, mimics, and a matcher."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn


def small_critic(width: int, hidden: int = 128) -> nn.Sequential:
    """Make a critic with one hidden layer and one logit a row."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))


class ModalityCritics(nn.Module):
    """Discriminate the domains by each modality's feature; the caller reverses the gradient."""

    def __init__(self, modalities: Sequence[str], width: int) -> None:
        super().__init__()
        self.critics = nn.ModuleDict({name: small_critic(width) for name in modalities})

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map features [b, d] of each modality to logits [b]."""
        return {name: critic(features[name])[:, 0] for name, critic in self.critics.items()}


class Mimics(nn.Module):
    """Predict the fused prediction by a second classifier for each modality (xMUDA)."""

    def __init__(self, modalities: Sequence[str], width: int, classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(width, classes) for name in modalities})

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map features [b, d] of each modality to logits [b, c]."""
        return {name: head(features[name]) for name, head in self.heads.items()}


class Matcher(nn.Module):
    """Predict whether two modalities' features come from one row. Each pair has a network."""

    def __init__(self, modalities: Sequence[str], width: int, hidden: int = 100) -> None:
        super().__init__()
        self.pairs = list(combinations(modalities, 2))
        self.heads = nn.ModuleDict({f"{m}-{n}": small_critic(2 * width, hidden) for m, n in self.pairs})

    def forward(self, features: Mapping[str, Tensor], partners: Tensor) -> dict[tuple[str, str], tuple[Tensor, Tensor]]:
        """Return each pair's logits [b] of matched and mismatched features."""
        found = {}
        for m, n in self.pairs:
            first, second = features[m], features[n]
            both = torch.cat([torch.cat([first, second], 1), torch.cat([first, second[partners]], 1)])
            yes, no = self.heads[f"{m}-{n}"](both)[:, 0].chunk(2)
            found[(m, n)] = (yes, no)
        return found
