"""Small worlds for tests: a backbone of one layer, and two domains that differ by a rotation."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from hubtl.batch import Batch, Features
from hubtl.engine.device import make_accelerator
from hubtl.engine.loop import Engine
from hubtl.engine.trace import Trace
from hubtl.modules import Bottleneck, Encoder
from hubtl.recipe.schema import OptimSection, RunSection
from hubtl.strategy import Strategy
from hubtl.tasks.classification import Classification


class Rows:
    """Vectors in memory, with the interface of ``hubtl.modalities.image.rows.ImageSet``."""

    cached = True
    augment = False
    note = None
    name = "rows"
    domains: np.ndarray | None = None
    bad: list[str] = []

    def __init__(self, x: torch.Tensor, y: np.ndarray | None) -> None:
        self.x, self.labels = x, y
        self.plain = self

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, rows: Sequence[int], *, seed: int | None = None) -> Batch:
        labels = None if self.labels is None else torch.from_numpy(self.labels[list(rows)])
        return Batch({"image": self.x[list(rows)]}, labels, torch.tensor(list(rows)))


class Flat(nn.Module):
    """Linear, optionally BatchNorm, ReLU."""

    def __init__(self, width_in: int = 8, width: int = 32, *, batchnorm: bool = False) -> None:
        super().__init__()
        norm = nn.BatchNorm1d(width) if batchnorm else nn.Identity()
        self.layers = nn.Sequential(nn.Linear(width_in, width), norm, nn.ReLU())
        self.info = SimpleNamespace(width=width, pretrained=False)

    def forward(self, inputs: Any, present: Any = None) -> Features:
        return Features(self.layers(inputs["image"]))

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        parts = ((name, list(layer.parameters())) for name, layer in self.layers.named_children())
        return [(name, own) for name, own in parts if own]


def domains(n: int = 512, degrees: float = 40.0, seed: int = 0, offset: float = 0.0) -> tuple[Rows, Rows]:
    """A labelled source of two classes, and a turned target.

    They lie in a plane of 8-d space; the target's labels are known.
    """
    made = []
    for turn, key, shift in ((0.0, seed, 0.0), (math.radians(degrees), seed + 1, offset)):
        generator = torch.Generator().manual_seed(key)
        y = torch.arange(n) % 2
        centre = torch.stack([4.0 * (y * 2 - 1), torch.zeros(n)], 1)
        plane = centre + torch.randn(n, 2, generator=generator) * torch.tensor([0.7, 2.0])
        turned = plane @ torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
        noise = 0.1 * torch.randn(n, 6, generator=generator) + shift
        made.append(Rows(torch.cat([turned, noise], 1), y.numpy()))
    return made[0], made[1]


def sealed(rows: Rows) -> Rows:
    return Rows(rows.x, None)


def build(
    cls: type[Strategy], *, bottleneck: int = 0, batchnorm: bool = False, seed: int = 0, **options: Any
) -> Strategy:
    torch.manual_seed(seed)
    encoder = Encoder(Flat(batchnorm=batchnorm), Bottleneck(32, bottleneck) if bottleneck else None)
    task = Classification(["a", "b"])
    return cls(encoder, task.head(encoder.width), task, cls.Options(**options))


def accelerator() -> Accelerator:
    return make_accelerator(RunSection(device="cpu"), None)


def train(
    strategy: Strategy,
    streams: dict[str, Any],
    *,
    folder: Path | None = None,
    resume: bool = False,
    judge: Any = None,
    optim: dict[str, Any] | None = None,
    **run: Any,
) -> Trace:
    section = OptimSection(
        **{"lr": 0.02, "backbone_lr_scale": 1.0, "schedule": "constant", "weight_decay": 0.0, **(optim or {})}
    )
    settings = RunSection(**{"steps": 100, "batch_size": 32, "device": "cpu", "evaluate_every": 1000, **run})
    engine = Engine(accelerator(), section, settings, folder=folder, judge=judge)
    return engine.train(strategy, streams, resume=resume)


@torch.no_grad()
def accuracy(strategy: Strategy, rows: Rows) -> float:
    strategy.eval()
    assert rows.labels is not None
    logits = strategy.deployed()({"image": rows.x})
    return float((logits.argmax(1).numpy() == rows.labels).mean())


@torch.no_grad()
def pooled(strategy: Strategy, rows: Rows) -> torch.Tensor:
    strategy.eval()
    return strategy.encoder({"image": rows.x}).pooled


def hubtl_command(arguments: Sequence[str], capsys: Any) -> tuple[int, str, str]:
    """Type a command: its exit code, stdout and stderr."""
    from hubtl.cli import app

    argv, sys.argv = sys.argv, ["hubtl", *arguments]
    capsys.readouterr()
    try:
        app.run()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = argv
    return code, *capsys.readouterr()
