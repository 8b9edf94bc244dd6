"""Measure how much a token reveals its domain. It is weighted accordingly."""

import math

import torch
from torch import Tensor, nn

from hubtl.modules import reverse_gradient
from hubtl_multimodal.fusion.presence import masked_mean

FLOOR = 1e-4  # under a weight, whose logarithm is added to attention


class LocalCritic(nn.Module):
    """Discriminate the domain of each token: d -> 64 -> 1, behind a gradient reversal of strength 1.

    Its last layer starts at zero: until it is trained it is undecided everywhere.
    """

    def __init__(self, width: int, hidden: int = 64) -> None:
        super().__init__()
        last = nn.Linear(hidden, 1)
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [b, t, d] to logits [b, t]."""
        verdict: Tensor = self.layers(reverse_gradient(tokens, 1.0))[..., 0]
        return verdict


def transferability(logits: Tensor) -> Tensor:
    """Return the binary entropy, in bits, of a critic's verdict: 1 where undecided; without gradient."""
    u = logits.detach().float().sigmoid()
    nats: Tensor = torch.special.entr(u) + torch.special.entr(1 - u)
    return nats / math.log(2)


def weighted(tokens: Tensor, weights: Tensor, mask: Tensor) -> Tensor:
    """Return ``(1 + w) z / (1 + mean w)``: shared tokens weigh more, and the scale stays (TADA)."""
    mean = masked_mean(weights, mask, dim=1)[:, None]
    factor = (1 + weights) / (1 + mean)
    return tokens * factor[..., None].to(tokens.dtype)


def attention_bias(weights: Tensor) -> Tensor:
    """Return the attention logits' bias that multiplies the softmax by weights; 0 where w = 1."""
    return ((weights + FLOOR) / (1 + FLOOR)).log()
