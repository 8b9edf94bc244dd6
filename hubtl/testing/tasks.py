"""Try which methods run on which tasks: each takes steps on small data of the task, or is refused."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hubtl import plugins
from hubtl.batch import Batch, Features
from hubtl.errors import HubtlError
from hubtl.modules import Encoder
from hubtl.plugins.modalities import USUAL
from hubtl.strategy import Progress, Strategy
from hubtl.tasks import Task
from hubtl.testing.toy import ToyBackbone, ToyRows, toy_train

SITES = 9  # of an input of the dense world
WIDTH = 8
LABELLED = ("transfer", "sequential")  # settings in which the target has labels


def runs(cls: type[Strategy], task: str) -> bool:
    """Return whether a method trains on a task; False where its needs refuse it.

    It raises any error of a method that is not refused and does not run.

    Args:
        cls: the strategy.
        task: the name of the task.

    Raises:
        AssertionError: for a loss that is not finite.
    """
    made = _task(task, cls)
    if not made.probabilities and "probabilities" in cls.needs:
        return False
    torch.manual_seed(0)
    encoder = Encoder(ToyBackbone())
    strategy = cls(encoder, made.head(encoder.width), made, cls.Options())
    strategy.setting = cls.settings[0]
    x = torch.randn(64, WIDTH, generator=torch.Generator().manual_seed(1))
    source = ToyRows(x, _labels(made, x))
    target = ToyRows(x + 0.5, _labels(made, x), sealed=strategy.setting not in LABELLED)
    streams: dict[str, Any] = {"source": source, "target": target}
    if strategy.setting in ("transfer", "source-free"):
        del streams["source"]
    made.learn(_labels(made, x))
    trace = toy_train(strategy, streams, steps=3)
    assert all(np.isfinite(point.get("loss", 0.0)) for point in trace.curves), f"{cls.__name__} on {task}"
    return True


def runs_on_sites(cls: type[Strategy]) -> bool:
    """Return whether a method runs where each image place is a row. Segmentation has such rows.

    A method that sweeps whole streams between its steps, or pairs rows with inputs, does not.
    """
    torch.manual_seed(0)
    task = _task("classification", cls)
    encoder = Encoder(_Places())
    try:
        strategy = cls(encoder, task.head(WIDTH), task, cls.Options())
        strategy.setting = cls.settings[0]
        source, target = _dense(labelled=True), _dense(labelled=strategy.setting in LABELLED)
        for phase in strategy.phases():
            if phase.refresh is not None and phase.steps == 1:
                return False
            given = {name: batch for name, batch in (("source", source), ("target", target)) if name in phase.sees}
            for loss in phase.step(**given, at=Progress(0, 0, 1, 0.5)):
                if loss.total.requires_grad:
                    loss.total.backward()
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError, HubtlError):
        return False
    return True


def _task(name: str, cls: type[Strategy]) -> Task:
    names = ["a", "b", "unknown"] if cls.unknown else ["a", "b"]
    made: Task = plugins.load("tasks", name)(names)
    made.unknown = 2 if cls.unknown else None
    return made


def _labels(task: Task, x: Tensor) -> np.ndarray:
    """Return labels of a task that follow from rows [n, 8]."""
    plane = x[:, : len(task.outputs.names)].numpy()
    if task.probabilities:
        return (plane[:, 0] > 0).astype(np.int64)
    return plane.astype(np.float32) if task.name == "regression" else (plane > 0).astype(np.float32)


class _Places(nn.Module):
    """Apply a convolution whose places are rows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.info = SimpleNamespace(width=WIDTH, pretrained=False)

    def forward(self, inputs: Any, present: Any = None) -> Features:
        maps = self.layer(inputs[USUAL])
        return Features(maps.movedim(1, -1).flatten(0, 2), (maps,), sites=maps.shape[-1] * maps.shape[-2])

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        return [("convolution", list(self.layer.parameters()))]


def _dense(*, labelled: bool) -> Batch:
    def images() -> dict[str, Tensor]:
        return {USUAL: torch.randn(4, 3, 3, 3)}

    labels = torch.randint(0, 2, (4 * SITES,)) if labelled else None
    views = {name: images() for name in ("weak", "strong")}
    return Batch(images(), labels, torch.arange(4), views=views)
