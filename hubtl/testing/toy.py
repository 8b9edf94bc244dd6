"""Provide two small domains. A method trains on them in half a second."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hubtl.batch import Batch, Features
from hubtl.engine.device import make_accelerator
from hubtl.engine.loop import Engine
from hubtl.engine.trace import Trace
from hubtl.errors import HubtlError
from hubtl.modules import Bottleneck, Encoder
from hubtl.plugins.modalities import USUAL
from hubtl.recipe.schema import OptimSection, RunSection
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Strategy
from hubtl.tasks.classification import Classification

STEPS = 40


class ToyRows:
    """Hold vectors in memory, with noisy views. They replace a set of images.

    Sealed, its labels reach no batch; ``hidden`` keeps them where a data set's own column would be. The noise of a view
    belongs to the row: the same rows in other batches are the same.
    """

    cached = True
    augment = False
    note = None
    bad: list[str] = []

    def __init__(self, x: Tensor, labels: np.ndarray | None, *, sealed: bool = False) -> None:
        self.x, self.hidden, self.plain = x, labels, self
        self.labels = None if sealed else labels
        self.noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(7))

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, rows: Sequence[int], *, seed: int | None = None) -> Batch:
        at = list(rows)
        x, noise = self.x[at], self.noise[at]
        views = {"weak": {USUAL: x + 0.02 * noise}, "strong": {USUAL: x + 0.1 * noise.flip(1)}}
        labels = None if self.labels is None else torch.from_numpy(self.labels[at])
        return Batch({USUAL: x}, labels, torch.tensor(at), views=views)


class ToyBackbone(nn.Module):
    """Apply one layer, with BatchNorm unless ``plain``."""

    def __init__(self, *, plain: bool = False) -> None:
        super().__init__()
        norm = nn.Identity() if plain else nn.BatchNorm1d(16)
        self.layers = nn.Sequential(nn.Linear(8, 16), norm, nn.ReLU())
        self.info = SimpleNamespace(width=16, pretrained=False)

    def forward(self, inputs: Any, present: Any = None) -> Features:
        return Features(self.layers(inputs[USUAL]))

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        named = (("linear", list(self.layers[0].parameters())), ("norm", list(self.layers[1].parameters())))
        return [(name, own) for name, own in named if own]


def toy_domain(
    degrees: float, seed: int, n: int = 192, *, groups: int = 2, offset: float = 0.0, sealed: bool = False
) -> ToyRows:
    """Return two groups in a plane of 8-d space. They are rotated by some degrees.

    Args:
        degrees: the rotation.
        seed: the seed.
        n: the number of rows.
        groups: 3 adds a group between and above the two.
        offset: shift of the other six dimensions.
        sealed: whether labels are hidden.
    """
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % groups
    centres = torch.tensor([[-4.0, 0.0], [4.0, 0.0], [0.0, 6.0]])
    plane = centres[y] + torch.randn(n, 2, generator=generator)
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    noise = 0.1 * torch.randn(n, 6, generator=generator) + offset
    return ToyRows(torch.cat([plane @ torch.tensor([[c, s], [-s, c]]), noise], 1), y.numpy(), sealed=sealed)


def toy_strategy(cls: type[Strategy], *, plain: bool = False, **options: Any) -> Strategy:
    """Return a strategy on a new toy model. Its weights are equal at each call.

    Args:
        cls: the strategy.
        plain: leave out any BatchNorm.
        **options: options of the strategy.
    """
    torch.manual_seed(0)
    encoder = Encoder(ToyBackbone(plain=plain), None if plain else Bottleneck(16, 8))
    task = Classification(["a", "b"])
    if cls.unknown:
        task = Classification(["a", "b", "unknown"])
        task.unknown = 2
    return cls(encoder, task.head(encoder.width), task, cls.Options(**options))


def toy_train(strategy: Strategy, streams: Mapping[str, Any], *, steps: int = STEPS, **engine: Any) -> Trace:
    """Train on the CPU in batches of 32.

    Args:
        strategy: the strategy.
        streams: the streams.
        steps: the number of updates.
        **engine: ``every``, ``batch_size``, ``accumulate``, ``resume``, and arguments of ``hubtl.engine.loop.Engine``.
    """
    optim = OptimSection(lr=0.02, backbone_lr_scale=1.0, schedule="constant", weight_decay=0.0)
    run = RunSection(
        steps=steps,
        batch_size=engine.pop("batch_size", 32),
        gradient_accumulation_steps=engine.pop("accumulate", 1),
        device="cpu",
        evaluate_every=engine.pop("every", 10_000),
    )
    run = run.model_copy(update={"checkpoint_every": 5})
    resume = engine.pop("resume", False)
    torch.manual_seed(1)
    return Engine(make_accelerator(run, None), optim, run, **engine).train(strategy, streams, resume=resume)


class ToyWorld:
    """Hold one class's strategies in one setting. It has the streams that they may see.

    The target's labels are sealed unless the setting has them.
    """

    def __init__(self, cls: type[Strategy], setting: str | None = None, **options: Any) -> None:
        self.cls, self.options = cls, options
        self.setting = setting or cls.settings[0]
        self.source = toy_domain(0, 0)
        # a method for open sets gets a target with a class that the source lacks
        groups = 3 if cls.unknown else 2
        self.target = toy_domain(25, 1, groups=groups, sealed=self.setting not in ("transfer", "sequential"))
        # kept, and not trained again where the world is sent to another process
        self._start = {plain: source_model(plain) for plain in (True, False)} if self.setting == "source-free" else {}

    def streams(self, target: ToyRows | None = None) -> dict[str, Any]:
        """Return the streams of the setting; ``target`` replaces the usual one."""
        own: dict[str, Any] = {"source": self.source, "target": target or self.target}
        if self.setting in ("transfer", "source-free"):
            del own["source"]
        return own

    def strategy(self, *, plain: bool = False) -> Strategy:
        """Return a new strategy; a source-free one starts from a model of the source."""
        made = toy_strategy(self.cls, plain=plain, **self.options)
        made.setting = self.setting
        if self.setting == "source-free":
            trained = self._start[plain]
            made.encoder.load_state_dict(trained.encoder.state_dict())
            made.head.load_state_dict(trained.head.state_dict(), strict=False)
        return made

    def needs_batchnorm(self) -> bool:
        """Return whether the strategy refuses a network without BatchNorm."""
        try:
            self.strategy(plain=True).phases()
        except HubtlError:
            return True
        return False


@cache
def source_model(plain: bool = False) -> Strategy:
    """Return a trained source-only strategy."""
    made = toy_strategy(SourceOnly, plain=plain)
    toy_train(made, {"source": toy_domain(0, 0)})
    return made
