"""Define the attention of the fusion: blocks, a one-query reader, a resampler, and pooling."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Apply multi-head attention whose maps can be read.

    ``map`` is the identity; the softmax [b, heads, q, k] passes through it, with its gradient, so that a forward hook
    there sees the attention, whatever fused kernels exist.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.map = nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, content: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attend queries [b, q, d] to content [b, k, d]. ``mask`` is [b, k].

        ``bias`` [b, k] is added to the logits.
        """
        q, k, v = (self._split(f(x)) for f, x in ((self.q, queries), (self.k, content), (self.v, content)))
        logits = (q @ k.transpose(-1, -2)).float() / math.sqrt(q.shape[-1])
        if bias is not None:
            logits = logits + bias[:, None, None, :]
        logits = logits.masked_fill(~mask[:, None, None, :], torch.finfo(logits.dtype).min)
        attended = self.dropout(self.map(logits.softmax(dim=-1))).to(v.dtype) @ v
        mixed: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return mixed

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.heads, -1))
        return heads.transpose(1, 2)


def mlp(width: int, dropout: float) -> nn.Sequential:
    """Make the feed-forward part of a block, four times as wide inside."""
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width))


class Block(nn.Module):
    """Apply a pre-norm transformer block to several streams. They share weights and have own LayerNorms."""

    def __init__(self, width: int, heads: int, dropout: float, streams: Sequence[str]) -> None:
        super().__init__()
        self.attention, self.mlp = Attention(width, heads, dropout), mlp(width, dropout)
        self.before = nn.ModuleDict({name: nn.LayerNorm(width) for name in streams})
        self.between = nn.ModuleDict({name: nn.LayerNorm(width) for name in streams})
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, stream: str) -> Tensor:
        """Transform tokens [b, t, d] of one stream."""
        normal = self.before[stream](x)
        x = x + self.dropout(self.attention(normal, normal, mask))
        changed: Tensor = x + self.dropout(self.mlp(self.between[stream](x)))
        return changed


class Reader(nn.Module):
    """Read everything by one learned query: ``f = LN(CLS + attention(CLS, content))``."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.query = nn.Parameter(0.02 * torch.randn(width))
        self.attention = Attention(width, heads, dropout)
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, content: Tensor, mask: Tensor, bias: Tensor) -> Tensor:
        """Map content [b, k, d] to a feature [b, d]; ``bias`` [b, k] is added to the attention's logits."""
        query = self.query.expand(content.shape[0], 1, -1)
        feature: Tensor = self.after(query + self.attention(query, self.before(content), mask, bias))
        return feature[:, 0]


class Resampler(nn.Module):
    """Resample any number of tokens to ``latents`` (Perceiver). Learned queries attend to them."""

    def __init__(self, width: int, heads: int, latents: int, dropout: float) -> None:
        super().__init__()
        self.latents = nn.Parameter(0.02 * torch.randn(latents, width))
        self.attention, self.mlp = Attention(width, heads, dropout), mlp(width, dropout)
        self.asking, self.asked, self.between = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Map tokens [b, t, d] to [b, latents, d]."""
        latents = self.latents.expand(tokens.shape[0], -1, -1)
        x = latents + self.attention(self.asking(latents), self.asked(tokens), mask)
        changed: Tensor = x + self.mlp(self.between(x))
        return changed


class Pool(nn.Module):
    """Pool tokens by a softmax over learned scores for each head; initially the mean."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.score, self.norm = nn.Linear(width, heads, bias=False), nn.LayerNorm(width)
        self.map = nn.Identity()  # as in Attention: [b, heads, 1, t] passes through
        nn.init.zeros_(self.score.weight)

    def forward(self, tokens: Tensor, mask: Tensor, bias: Tensor) -> Tensor:
        """Map tokens [b, t, d] to [b, d]; ``bias`` [b, t] is added to the scores."""
        scores = (self.score(tokens).float() + bias[..., None]).transpose(1, 2)[:, :, None]  # [b, h, 1, t]
        scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        share = self.map(scores.softmax(dim=-1)).to(tokens.dtype)
        parts = tokens.unflatten(-1, (share.shape[1], -1)).transpose(1, 2)  # [b, h, t, d / h]
        pooled: Tensor = self.norm((share @ parts)[:, :, 0].flatten(1))
        return pooled
