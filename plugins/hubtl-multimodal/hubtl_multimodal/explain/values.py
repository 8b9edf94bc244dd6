"""Value each player: Shapley values of modalities, Banzhaf values of tokens, transferability."""

from itertools import combinations
from math import factorial

import torch
from torch import Tensor

from hubtl_multimodal.explain.game import Game


def shapley(game: Game, index: int) -> tuple[dict[str, float], float]:
    """Return exact Shapley values of the modalities for a class's probability.

    The probability without any modality is returned, too. ``phi_m = sum over S without m of |S|! (M - |S| - 1)! / M!
    (p(S + m) - p(S))``: at most eight masked forwards. The values add up to the prediction's probability less that
    without any. The model knows missing modalities from training.
    """
    players = game.present
    subsets = [frozenset(s) for size in range(len(players) + 1) for s in combinations(players, size)]
    kept = {
        m: torch.tensor([m in s for s in subsets])[:, None].expand(-1, count).contiguous()
        for m, count in game.tokens.items()
    }
    worth = dict(zip(subsets, game.probabilities(kept)[:, index].tolist(), strict=True))
    total = len(players)
    values = {}
    for m in players:
        values[m] = sum(
            factorial(len(s)) * factorial(total - len(s) - 1) / factorial(total) * (worth[s | {m}] - worth[s])
            for s in subsets
            if m not in s
        )
    return values, worth[frozenset()]


def banzhaf(game: Game, index: int, samples: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Return Banzhaf values [t] of each modality's tokens for a class's log-odds.

    ``v_t = E[f(S) | t in S] - E[f(S) | t not in S]`` over random subsets, each token in S with probability 1/2. Every
    subset is used for every token (maximum sample reuse, Wang & Jia, arXiv:2205.15466). The values are signed, and
    defined alike for every kind of fusion, unlike attention maps.
    """
    kept = {m: torch.rand(samples, count, generator=generator) < 0.5 for m, count in game.tokens.items()}
    f = game.log_odds(kept, index)
    found = {}
    for m, mask in kept.items():
        share = mask.float()
        inside = (share * f[:, None]).sum(dim=0) / share.sum(dim=0).clamp(min=1)
        outside = ((1 - share) * f[:, None]).sum(dim=0) / (1 - share).sum(dim=0).clamp(min=1)
        found[m] = inside - outside
    return found


@torch.no_grad()
def transferability(game: Game) -> dict[str, Tensor]:
    """Return each token's weight ``w`` [t] by the local critics: 1 where its domain is not recognisable.

    It is 0 where the domain is recognised. Where a modality was resampled, a token gets the weights of the latents that
    attended to it, by their attention.
    """
    backbone = game.backbone
    maps: dict[str, Tensor] = {}
    hooks = [
        backbone.fusion.resamplers[m].attention.map.register_forward_hook(  # type: ignore[union-attr]
            lambda module, given, out, m=m: maps.__setitem__(m, out)
        )
        for m in game.present
    ]
    inputs: dict[str, Tensor] = {}
    for m, (values, mask) in game.made.items():
        there = mask & torch.tensor(m in game.present, device=mask.device)
        inputs |= {f"{m}.tokens": values, f"{m}.mask": there, f"{m}.present": there.any(dim=1)}
    try:
        parts = game.classifier.encoder(inputs).parts or {}
    finally:
        for hook in hooks:
            hook.remove()
    found = {}
    for m in game.present:
        weights = parts[f"{m}.weights"][0].float()
        if m in maps:
            attended = maps[m][0].float().mean(dim=0)  # [latents, t]
            weights = (attended * weights[:, None]).sum(dim=0) / attended.sum(dim=0).clamp(min=1e-12)
        found[m] = weights[game.places[m]].cpu()
    return found
