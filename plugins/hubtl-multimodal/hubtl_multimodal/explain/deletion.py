"""Test a relevance map by deletion: removing relevant tokens first must lower the prediction faster."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hubtl_multimodal.explain.game import Game, Kept

BEATEN = 0.95  # of the random orders; a map that means nothing is one of them, and passes 1 time in 20
POINTS = 21  # of a curve: none, 5 %, … all tokens taken away


@dataclass(frozen=True)
class Deletion:
    """Hold the label's probability while tokens are removed. They go by relevance and in random orders."""

    shares: list[float]  # of tokens taken away
    top: list[float]
    random: list[float]  # mean over the orders
    top_area: float  # under the curves; the smaller, the more faithful the map
    random_area: float
    random_sd: float  # of the areas of the orders
    beaten: int  # of the orders: those with a larger area than the map's
    orders: int

    @property
    def faithful(self) -> bool:
        """Return whether removing top tokens first beats random orders. It does more harm than 95 % of them.

        This is a permutation test.
        """
        return self.beaten >= BEATEN * self.orders

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"faithful": self.faithful}


def run(game: Game, index: int, relevance: dict[str, Tensor], orders: int, generator: torch.Generator) -> Deletion:
    """Remove tokens of all modalities by relevance, and in ``orders`` random orders."""
    values = torch.cat([relevance[m] for m in game.present])
    shares = np.linspace(0, 1, POINTS)
    top = _curve(game, index, values.argsort(descending=True, stable=True), shares)
    random = np.stack(
        [_curve(game, index, torch.randperm(len(values), generator=generator), shares) for _ in range(orders)]
    )
    areas = np.trapezoid(random, shares, axis=1)
    return Deletion(
        shares=[round(float(s), 4) for s in shares],
        top=top.tolist(),
        random=random.mean(axis=0).tolist(),
        top_area=float(np.trapezoid(top, shares)),
        random_area=float(areas.mean()),
        random_sd=float(areas.std()),
        beaten=int((areas > np.trapezoid(top, shares)).sum()),
        orders=orders,
    )


def _curve(game: Game, index: int, order: Tensor, shares: np.ndarray) -> np.ndarray:
    """Return the probability without an order's first tokens, at each share."""
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    gone = torch.from_numpy(np.round(shares * len(order))).long()
    left = rank[None, :] >= gone[:, None]  # [points, all tokens]
    kept: Kept = {}
    start = 0
    for m in game.present:
        kept[m] = left[:, start : start + game.tokens[m]]
        start += game.tokens[m]
    return game.probabilities(kept)[:, index].numpy()
