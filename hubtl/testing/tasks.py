"""Try which methods run on which tasks: each takes steps on small data of the task, or is refused."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hubtl import plugins
from hubtl.modules import Encoder
from hubtl.run.needs import refusal
from hubtl.strategy import Strategy
from hubtl.tasks import Task
from hubtl.tasks.segmentation import Segmentation
from hubtl.testing.scenes import DAY, DUSK, Scenes, scene_strategy
from hubtl.testing.toy import ToyBackbone, ToyRows, toy_train

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
    if made.dense:
        return runs_on_segmentation(cls)
    if refusal(cls, cls.__name__, made) is not None:
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


def runs_on_segmentation(cls: type[Strategy]) -> bool:
    """Return whether a method trains a segmenter; False where its needs refuse it.

    Some sites have no label. The engine trains it, with the sweeps that its phases ask for. It raises any error of a
    method that is not refused and does not run.

    Args:
        cls: the strategy.

    Raises:
        AssertionError: for a loss that is not finite.
    """
    if refusal(cls, cls.__name__, Segmentation()) is not None:
        return False
    strategy = scene_strategy(cls)
    strategy.setting = cls.settings[0]
    source, target = Scenes(DAY, 0, 16), Scenes(DUSK, 1, 16, sealed=strategy.setting not in LABELLED)
    streams: dict[str, Any] = {"source": source, "target": target}
    if strategy.setting in ("transfer", "source-free"):
        del streams["source"]
    trace = toy_train(strategy, streams, steps=3, batch_size=4)
    assert all(np.isfinite(point.get("loss", 0.0)) for point in trace.curves), f"{cls.__name__} on segmentation"
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
