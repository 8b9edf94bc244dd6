"""Provide two small domains of images whose places are labelled: by day and by dusk."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hubtl.batch import Batch, Features
from hubtl.modules import Encoder
from hubtl.plugins.modalities import USUAL
from hubtl.strategy import Strategy
from hubtl.tasks.segmentation import Segmentation
from hubtl.tasks.segmentation.task import NONE

SIZE, SIDE = 16, 8
NAMES = ("ground", "wall", "window")
COLOURS = ((0.5, 0.45, 0.4), (0.8, 0.3, 0.2), (0.3, 0.5, 0.9))
DAY, DUSK = (1.0, 1.0, 1.0), (0.45, 0.4, 0.75)


class Scenes:
    """Hold images [n, 3, 16, 16] with a class for each place.

    Places are the cells of an 8 × 8 grid.

    Sealed, its labels reach no batch. ``labels`` are [n, 64], −100 in the first row of the grid. A strong view has
    other colours.
    """

    cached = True
    augment = False
    note = None
    domains = None
    bad: list[str] = []

    def __init__(self, light: Sequence[float], seed: int, n: int = 64, *, sealed: bool = False) -> None:
        generator = torch.Generator().manual_seed(seed)
        grid = torch.zeros(n, SIDE, SIDE, dtype=torch.long)
        for row in grid:
            top, left = torch.randint(1, 4, (2,), generator=generator).tolist()
            row[top : top + 4, left : left + 3] = 1
            row[top + 1 : top + 3, left + 1] = 2
        colours = torch.tensor(COLOURS)[grid].movedim(3, 1)
        pixels = nn.functional.interpolate(colours, size=(SIZE, SIZE)) * torch.tensor(light).reshape(3, 1, 1)
        self.x = pixels + 0.05 * torch.randn(pixels.shape, generator=generator)
        self.tint = 1 + 0.15 * torch.randn(n, 3, 1, 1, generator=generator)
        self.truth = grid.flatten(1).numpy()
        known = grid.clone()
        known[:, 0] = NONE
        self.hidden = known.flatten(1).numpy()
        self.labels = None if sealed else self.hidden
        self.plain = self

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, rows: Sequence[int], *, seed: int | None = None) -> Batch:
        at = list(rows)
        x = self.x[at]
        labels = None if self.labels is None else torch.from_numpy(self.labels[at]).flatten()
        views = {"weak": {USUAL: x}, "strong": {USUAL: x * self.tint[at]}}
        return Batch({USUAL: x}, labels, torch.tensor(at), views=views)


class SceneBackbone(nn.Module):
    """Apply two convolutions; the first has BatchNorm unless ``plain``."""

    def __init__(self, *, plain: bool = False) -> None:
        super().__init__()
        norm = nn.Identity() if plain else nn.BatchNorm2d(16)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), norm, nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()
        )
        self.side = SIDE
        self.info = SimpleNamespace(width=16, pretrained=False)

    def forward(self, inputs: Any, present: Any = None) -> Features:
        maps: Tensor = self.layers(inputs[USUAL])
        return Features(maps.movedim(1, -1).flatten(0, 2), (maps,), sites=SIDE**2)

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        return [(name, own) for name, layer in self.layers.named_children() if (own := list(layer.parameters()))]


def scene_strategy(cls: type[Strategy], *, plain: bool = False, seed: int = 0, **options: Any) -> Strategy:
    """Return a strategy on a new small segmenter.

    Args:
        cls: the strategy.
        plain: leave out BatchNorm.
        seed: seed of the weights.
        **options: options of the strategy.
    """
    torch.manual_seed(seed)
    encoder = Encoder(SceneBackbone(plain=plain))
    names = [*NAMES, "unknown"] if cls.unknown else list(NAMES)
    task = Segmentation(names)
    task.unknown = len(NAMES) if cls.unknown else None
    return cls(encoder, task.head(encoder.width), task, cls.Options(**options))


@torch.no_grad()
def scene_score(strategy: Strategy, rows: Scenes) -> float:
    """Return the mean IoU of a strategy's deployed model over all sites."""
    strategy.eval()
    logits = strategy.deployed()({USUAL: rows.x})
    assert logits.shape[1] == math.prod((SIDE, SIDE))
    return strategy.task.score(logits, np.asarray(rows.truth))
