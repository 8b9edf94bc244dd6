"""The conformance suite: what every strategy, built in or not, must stand. ``check(MyStrategy)`` in a test."""

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hubtl.batch import Batch, Features
from hubtl.engine.device import make_accelerator
from hubtl.engine.loop import Engine, Trace
from hubtl.engine.modes import parameters_of
from hubtl.errors import HubtlError
from hubtl.modules import Bottleneck, Encoder, fold
from hubtl.recipe import OptimSection, RunSection
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Loss, Phase, Strategy
from hubtl.tasks.classification import Classification

STEPS = 40


class ToyRows:
    """Vectors in memory, with noisy views, in place of a set of images."""

    cached = True
    augment = False
    note = None
    bad: list[str] = []

    def __init__(self, x: Tensor, labels: np.ndarray | None) -> None:
        self.x, self.labels, self.plain = x, labels, self

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, rows: Sequence[int], *, seed: int | None = None) -> Batch:
        x = self.x[list(rows)]
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed or 0))
        views = {"weak": {"image": x + 0.02 * noise}, "strong": {"image": x + 0.1 * noise.flip(0)}}
        labels = None if self.labels is None else torch.from_numpy(self.labels[list(rows)])
        return Batch({"image": x}, labels, torch.tensor(list(rows)), views=views)


class ToyBackbone(nn.Module):
    """One layer with BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU())
        self.info = SimpleNamespace(width=16, pretrained=False)

    def forward(self, inputs: Any, present: Any = None) -> Features:
        return Features(self.layers(inputs["image"]))

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        return [("linear", list(self.layers[0].parameters())), ("norm", list(self.layers[1].parameters()))]


def toy_domain(degrees: float, seed: int, n: int = 192, classes: int = 2) -> ToyRows:
    """Two classes in a plane of 8-d space, a third between and above them if asked for, turned by some degrees."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    centres = torch.tensor([[-4.0, 0.0], [4.0, 0.0], [0.0, 6.0]])
    plane = centres[y] + torch.randn(n, 2, generator=generator)
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    noise = 0.1 * torch.randn(n, 6, generator=generator)
    return ToyRows(torch.cat([plane @ torch.tensor([[c, s], [-s, c]]), noise], 1), y.numpy())


def toy_strategy(cls: type[Strategy], **options: Any) -> Strategy:
    torch.manual_seed(0)
    encoder, task = Encoder(ToyBackbone(), Bottleneck(16, 8)), Classification(["a", "b"])
    if cls.unknown:
        task = Classification(["a", "b", "unknown"])
        task.unknown = 2
    return cls(encoder, task.head(encoder.width), task, cls.Options(**options))


def toy_train(strategy: Strategy, streams: Mapping[str, Any], *, steps: int = STEPS, **engine: Any) -> Trace:
    optim = OptimSection(lr=0.02, backbone_lr_scale=1.0, schedule="constant", weight_decay=0.0)
    run = RunSection(steps=steps, batch_size=32, device="cpu", evaluate_every=engine.pop("every", 10_000))
    run = run.model_copy(update={"checkpoint_every": 5})
    resume = engine.pop("resume", False)
    torch.manual_seed(1)
    return Engine(make_accelerator(run, None), optim, run, **engine).train(strategy, streams, resume=resume)


class _Stop(Exception):
    """Ends a run in the middle of a phase."""


class Conformance:
    """The suite for one strategy in one setting; each method raises AssertionError or what the engine refuses with."""

    def __init__(self, cls: type[Strategy], setting: str | None = None, **options: Any) -> None:
        self.cls, self.options = cls, options
        self.setting = setting or cls.settings[0]
        # a method for open sets gets a target with a class that the source lacks
        self.source, self.target = toy_domain(0, 0), toy_domain(25, 1, classes=3 if cls.unknown else 2)
        labelled = self.setting in ("transfer", "sequential")
        target = self.target if labelled else ToyRows(self.target.x, None)
        self.streams: dict[str, Any] = {"source": self.source, "target": target}
        if self.setting in ("transfer", "source-free"):
            del self.streams["source"]
        self.baseline = toy_strategy(SourceOnly)
        toy_train(self.baseline, {"source": self.source})

    def strategy(self) -> Strategy:
        made = toy_strategy(self.cls, **self.options)
        made.setting = self.setting
        if self.setting == "source-free":
            made.encoder.load_state_dict(self.baseline.encoder.state_dict())
            made.head.load_state_dict(self.baseline.head.state_dict(), strict=False)
        return made

    def documents(self) -> None:
        """The docstring claims something, and every option says what it does."""
        assert (self.cls.__doc__ or "").strip(), f"{self.cls.__name__} has no docstring"
        bare = [n for n, f in self.cls.Options.model_fields.items() if not f.description]
        assert not bare, f"options without a description: {bare}"

    def learns(self) -> None:
        """In each phase every named group moves and nothing else does; then it folds, and still classifies."""
        strategy = self.strategy()
        phases, spied = list(strategy.phases()), []
        yields: dict[str, set[int]] = {}
        for phase in phases:
            spied.append(replace(phase, step=_spy(phase, strategy, yields)))
        seen: list[tuple[Phase, dict[str, Tensor]]] = _watch(strategy, spied)
        trace = toy_train(strategy, self.streams)
        seen.append((phases[-1], _weights(strategy)))
        for (phase, before), (_, after) in pairwise(seen):
            _moved(strategy, phase, before, after)
        assert all(len(counts) == 1 for counts in yields.values()), f"the number of yields varies: {yields}"
        assert all(math.isfinite(point.get("loss", 0.0)) for point in trace.curves)
        x = {"image": self.target.x}
        deployed = strategy.deployed().eval()
        with torch.no_grad():
            logits = deployed(x)
            folded = fold(deployed.encoder.bottleneck, deployed.head)(deployed.encoder.backbone(x).pooled)
            before = self.baseline.deployed().eval()(x)
        assert torch.allclose(logits, folded, atol=1e-4), "the folded model says something else"
        truth = torch.from_numpy(self.target.labels)
        accuracy, floor = ((y.argmax(1) == truth).float().mean().item() for y in (logits, before))
        assert accuracy >= floor - 0.05, f"target accuracy {accuracy:.3f}, source-only {floor:.3f}"

    def resumes(self) -> None:
        """Stopped in the middle of a phase and resumed by a fresh strategy, it ends bit-equal."""
        whole = self.strategy()
        toy_train(whole, self.streams, steps=12)

        def stop(strategy: Strategy, step: int) -> dict[str, float]:
            raise _Stop

        with tempfile.TemporaryDirectory() as folder:
            with suppress(_Stop):
                toy_train(self.strategy(), self.streams, steps=12, folder=Path(folder), judge=stop, every=7)
            again = self.strategy()
            toy_train(again, self.streams, steps=12, folder=Path(folder), resume=True)
        expected = whole.state_dict()
        lost = [k for k, v in again.state_dict().items() if not torch.equal(v, expected[k])]
        assert not lost, f"other weights after resuming: {lost}"


def check(cls: type[Strategy], *, setting: str | None = None, **options: Any) -> None:
    """Run the suite. Raises AssertionError with what is amiss, HubtlError where the engine refuses the strategy."""
    suite = Conformance(cls, setting, **options)
    suite.documents()
    suite.learns()
    suite.resumes()


def _weights(strategy: Strategy) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in strategy.named_parameters()}


def _watch(strategy: Strategy, phases: Sequence[Phase]) -> list[tuple[Phase, dict[str, Tensor]]]:
    """Make the strategy's phases note the weights that each begins with."""
    seen: list[tuple[Phase, dict[str, Tensor]]] = []

    def noted() -> Iterator[Phase]:
        for phase in phases:
            seen.append((phase, _weights(strategy)))
            yield phase

    object.__setattr__(strategy, "phases", noted)
    return seen


def _spy(phase: Phase, strategy: Strategy, yields: dict[str, set[int]]) -> Any:
    def step(**streams: Any) -> Iterator[Loss]:
        count = 0
        for loss in phase.step(**streams):
            count += 1
            yield loss
        yields.setdefault(phase.name, set()).add(count)

    return step


def _moved(strategy: Strategy, phase: Phase, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
    names = {p: n for n, p in strategy.named_parameters()}
    learning: set[str] = set()
    for group, learner in phase.learns.items():
        own = {names[p] for p in parameters_of(learner) if p in names}
        learning |= own
        if own and all(torch.equal(before[n], after[n]) for n in own):
            raise HubtlError(
                f"no gradient reaches group {group!r} in phase {phase.name!r}", hint="use it in the loss, or drop it"
            )
    # a child in which nothing learns now, such as a teacher, may be written by the step itself
    written = {
        f"{name}.{n}"
        for name, child in strategy.named_children()
        if name not in ("encoder", "head") and not any(names.get(p) in learning for p in child.parameters())
        for n, _ in child.named_parameters()
    }
    strays = [n for n in before if n not in learning | written and not torch.equal(before[n], after[n])]
    assert not strays, f"phase {phase.name!r} changes what it does not name: {strays}"
