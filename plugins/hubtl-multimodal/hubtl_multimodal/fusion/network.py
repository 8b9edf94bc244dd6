"""Fuse the tokens of present modalities to one feature. One linear head reads it."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from hubtl.errors import HubtlError, unknown
from hubtl_multimodal.fusion.attention import Block, Pool, Reader, Resampler
from hubtl_multimodal.fusion.local import LocalCritic, attention_bias, transferability, weighted
from hubtl_multimodal.fusion.norm import MaskedBatchNorm
from hubtl_multimodal.fusion.presence import drop_modalities, masked_mean

Kind = Literal["late", "concat-mlp", "concat-transformer", "bottleneck"]
KINDS: tuple[str, ...] = get_args(Kind)
LONG = 64  # tokens; a modality with more is resampled, so that it does not drown the others


class Fused(NamedTuple):
    """Hold the fusion's outputs for a batch of ``b`` rows."""

    fused: Tensor | None  # [b, d]; None for late fusion
    parts: dict[str, Tensor]  # modality -> z_m [b, d], of its own tokens alone
    tokens: dict[str, Tensor]  # modality -> Z_m [b, t, d] after projection and resampling
    masks: dict[str, Tensor]  # [b, t] bool, True where a token is real, or stands for an absent modality
    local: dict[str, Tensor]  # [b, t] logits of the local critics, behind a gradient reversal
    weights: dict[str, Tensor]  # [b, t] in [0, 1], without gradient: 1 where the critic cannot tell the domain
    present: dict[str, Tensor]  # [b] bool, after modality dropout


class Fusion(nn.Module):
    """Project, weight, pool and fuse tokens.

    Each modality: ``Z = BN(W · LN(H)) + e``, resampled to ``latents`` tokens where there are more than 64, and one learned
    null token in place of all where it is absent. A local critic weights tokens by how little they reveal their
    domain, ``Z~ = (1 + w) Z / (1 + mean w)``, and ``log w`` is added to the logits of pooling and of the reading query.
    ``z_m`` is pooled from ``Z~_m`` alone. Then, by ``kind``:

    - ``late``: nothing more; the heads' logits are averaged over the present modalities.
    - ``concat-mlp``: two layers on all ``z_m`` together.
    - ``concat-transformer``: blocks on all tokens together, and one query that reads them.
    - ``bottleneck``: blocks on ``[Z~_m ; b]`` of each modality, weights shared; the bottleneck tokens ``b`` become the
      mean over the present modalities (MBT, arXiv:2107.00135, whose mean is over all); one query reads all.

    Every parameter takes part in every forward, whatever is absent and however many tokens there are, so that processes
    that see other rows have the same graph. In eval mode no row depends on another.

    Args:
        widths: modality -> width of its tokens.
        kind: see above.
        width: width of projected tokens and of the fused feature.
        layers: number of fusion blocks.
        heads: number of attention heads.
        bottlenecks: number of bottleneck tokens.
        latents: number of tokens after resampling.
        dropout: dropout rate.
        modality_dropout: probability with which a row loses a modality in training, never all; may be set at any time.

    Raises:
        HubtlError: for an unknown kind, for no modality, and for a width that ``heads`` does not divide.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        kind: str = "bottleneck",
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        bottlenecks: int = 4,
        latents: int = 16,
        dropout: float = 0.1,
        modality_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise unknown("fusion", kind, KINDS)
        if not widths:
            raise HubtlError("there is no modality to fuse", hint="name an encoder for at least one")
        if width % heads:
            raise HubtlError(f"a fusion of width {width} has no {heads} heads", hint=f"a multiple of {heads}")
        self.kind, self.width, self.modality_dropout = kind, width, modality_dropout
        self.modalities = names = tuple(widths)
        self.projections = nn.ModuleDict(
            {n: nn.Sequential(nn.LayerNorm(w), nn.Linear(w, width)) for n, w in widths.items()}
        )
        self.norms = nn.ModuleDict({n: MaskedBatchNorm(width) for n in names})
        self.marks = nn.ParameterDict({n: nn.Parameter(0.02 * torch.randn(width)) for n in names})
        self.nulls = nn.ParameterDict({n: nn.Parameter(0.02 * torch.randn(width)) for n in names})
        self.resamplers = nn.ModuleDict({n: Resampler(width, heads, latents, dropout) for n in names})
        self.critics = nn.ModuleDict({n: LocalCritic(width) for n in names})
        self.pools = nn.ModuleDict({n: Pool(width, heads) for n in names})
        if kind == "concat-mlp":
            first = nn.Linear(len(names) * width, width)
            self.mix = nn.Sequential(
                first, nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width), nn.LayerNorm(width)
            )
        elif kind != "late":
            streams = names if kind == "bottleneck" else ("all",)
            self.blocks = nn.ModuleList(Block(width, heads, dropout, streams) for _ in range(layers))
            self.reader = Reader(width, heads, dropout)
        if kind == "bottleneck":
            self.bottlenecks = nn.Parameter(0.02 * torch.randn(bottlenecks, width))

    @property
    def joint_width(self) -> int:
        """Return the width of ``joint``."""
        return (0 if self.kind == "late" else self.width) + len(self.modalities) * (self.width + 1)

    def blocks_of(self) -> dict[str, slice]:
        """Return the slices of ``joint``: the fused feature, and each modality's ``z_m`` with ``r_m``."""
        places, start = {}, 0
        if self.kind != "late":
            places["fused"], start = slice(0, self.width), self.width
        for name in self.modalities:
            places[name] = slice(start, start + self.width + 1)
            start += self.width + 1
        return places

    def forward(self, tokens: Mapping[str, tuple[Tensor, Tensor]], present: Mapping[str, Tensor]) -> Fused:
        """Fuse tokens ([b, t, width], mask [b, t]) of every modality.

        ``present`` [b] bool, a missing key: in every row.
        """
        real = {n: self._real(tokens[n][1], present.get(n)) for n in self.modalities}
        there = {n: mask.any(dim=1) for n, mask in real.items()}
        kept = drop_modalities(there, self.modality_dropout) if self.training and self.modality_dropout else there
        zs: dict[str, Tensor] = {}
        masks: dict[str, Tensor] = {}
        for n in self.modalities:
            zs[n], masks[n] = self._tokens(n, tokens[n][0], real[n], kept[n])
        local = {n: self.critics[n](zs[n]) for n in self.modalities}
        weights = {n: transferability(logits) for n, logits in local.items()}
        better = {n: weighted(zs[n], weights[n], masks[n]) for n in self.modalities}
        bias = {n: attention_bias(w) for n, w in weights.items()}
        parts = {n: self._part(n, better[n], masks[n], bias[n], local[n]) for n in self.modalities}
        return Fused(self._fuse(better, parts, masks, bias, kept), parts, zs, masks, local, weights, kept)

    def joint(self, out: Fused) -> Tensor:
        """Return ``[f ; r_m z_m ; r_m ; …]`` [b, joint_width].

        A linear layer on it is ``g_f(f) + sum_m r_m g_m(z_m)``. Late fusion has no ``f``, and divides by the number of
        present modalities: the mean of their logits.
        """
        r = {n: out.present[n][:, None].to(out.parts[n].dtype) for n in self.modalities}
        if out.fused is None:
            count = torch.stack(list(r.values())).sum(dim=0).clamp(min=1)
            r = {n: there / count for n, there in r.items()}
        first = [] if out.fused is None else [out.fused]
        return torch.cat([*first, *(piece for n in self.modalities for piece in (r[n] * out.parts[n], r[n]))], dim=1)

    def _norm(self, name: str) -> MaskedBatchNorm:
        norm = self.norms[name]
        assert isinstance(norm, MaskedBatchNorm)
        return norm

    @staticmethod
    def _real(mask: Tensor, present: Tensor | None) -> Tensor:
        return mask if present is None else mask & present[:, None]

    def _tokens(self, name: str, values: Tensor, real: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Return projected (and resampled) tokens and their mask; absent modalities get the null token."""
        clean = values.masked_fill(~real[..., None], 0.0)  # what is behind the mask may be anything, even NaN
        z = self._norm(name).masked(self.projections[name](clean), real)
        z, mask = z + self.marks[name], real
        if z.shape[1] > LONG:
            z = self.resamplers[name](z, mask)
            mask = real.any(dim=1, keepdim=True).expand(z.shape[:2])
        else:  # the resampler stays in the graph of a forward that has no use for it
            z = z + 0.0 * torch.stack([p.sum() for p in self.resamplers[name].parameters()]).sum().to(z.dtype)
        null = torch.cat([self.nulls[name][None], z.new_zeros(z.shape[1] - 1, z.shape[2])])
        first = torch.arange(z.shape[1], device=z.device) == 0
        mask = (mask & kept[:, None]) | (first & ~kept[:, None])  # torch.where of bool, which onnxruntime lacks
        z = torch.where(kept[:, None, None], z, null.to(z.dtype))
        return z.masked_fill(~mask[..., None], 0.0), mask

    def _part(self, name: str, tokens: Tensor, mask: Tensor, bias: Tensor, local: Tensor) -> Tensor:
        z: Tensor = self.pools[name](tokens, mask, bias)
        return z + (0.0 * local.sum()).to(z.dtype)  # stays in the graph of losses that have no use for the critics

    def _fuse(
        self,
        tokens: dict[str, Tensor],
        parts: dict[str, Tensor],
        masks: dict[str, Tensor],
        bias: dict[str, Tensor],
        kept: dict[str, Tensor],
    ) -> Tensor | None:
        if self.kind == "late":
            return None
        if self.kind == "concat-mlp":
            fused: Tensor = self.mix(torch.cat(list(parts.values()), dim=1))
            return fused
        mask = torch.cat(list(masks.values()), dim=1)
        logits = torch.cat(list(bias.values()), dim=1)
        if self.kind == "concat-transformer":
            x = torch.cat(list(tokens.values()), dim=1)
            for block in self.blocks:
                x = block(x, mask, "all")
            read: Tensor = self.reader(x, mask, logits)
            return read
        shared = self.bottlenecks.expand(mask.shape[0], -1, -1)
        always = mask.new_ones(shared.shape[:2])
        for block in self.blocks:
            own = []
            for n in self.modalities:
                t = tokens[n].shape[1]
                x = block(torch.cat([tokens[n], shared], dim=1), torch.cat([masks[n], always], dim=1), n)
                tokens = tokens | {n: x[:, :t]}
                own.append(x[:, t:])
            shared = masked_mean(torch.stack(own), torch.stack([kept[n] for n in self.modalities]))
        x = torch.cat([shared, *tokens.values()], dim=1)
        read = self.reader(
            x, torch.cat([always, mask], dim=1), torch.cat([logits.new_zeros(always.shape), logits], dim=1)
        )
        return read
