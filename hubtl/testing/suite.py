"""The suite for one strategy in one setting."""

import math
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from hubtl import plugins
from hubtl.engine.trace import Trace
from hubtl.modules import fold
from hubtl.plugins.modalities import USUAL
from hubtl.strategy import Strategy
from hubtl.testing.adversary import check_critics
from hubtl.testing.kinds.suite import Suite
from hubtl.testing.reversal import check_reversal, critics
from hubtl.testing.tasks import runs
from hubtl.testing.toy import ToyRows, ToyWorld, source_model, toy_train
from hubtl.testing.watch import Watch

SHORT = 12  # updates of the runs that are compared bit by bit
FLOOR = 0.05  # share of the target's rows that a method may lose against source-only


class _Stop(Exception):
    """Ends a run in the middle of a phase."""


class Conformance(Suite):
    """Check one strategy. A method raises AssertionError with the fault, or what the engine refuses."""

    kind = "strategies"
    mends: ClassVar[Mapping[str, str]] = {
        "documents": "write a docstring, and Field(…, description=…) for each option; an ablation changes an option",
        "learns": "use every group that learns in a loss; what else changes belongs in phases(); keep head and bottleneck linear",
        "adversaries": "reverse gradients with self.reverse(z, strength, at), and give the critic features that are not detached",
        "needs": 'needs = ("features", "probabilities") where the outputs are read as probabilities',
        "blind": "use target.labels only in the settings that have them",
        "resumes": "keep what a step remembers in buffers and parameters, and schedules on at.step or at.fraction",
    }

    def __init__(self, cls: type[Strategy], setting: str | None = None, **options: Any) -> None:
        self.cls, self.world = cls, ToyWorld(cls, setting, **options)

    @cached_property
    def _run(self) -> tuple[Strategy, Watch, Trace]:
        strategy = self.world.strategy()
        with Watch(strategy) as watch:
            return strategy, watch, toy_train(strategy, self.world.streams())

    def documents(self) -> None:
        """The class has a docstring, and every option is described. Every ablation changes an option."""
        assert (self.cls.__doc__ or "").strip(), f"{self.cls.__name__} has no docstring"
        bare = [n for n, f in self.cls.Options.model_fields.items() if not f.description]
        assert not bare, f"options without a description: {bare}"
        for name, changes in self.cls.ablations.items():
            left = self.cls.Options(**changes)
            assert left != self.cls.Options(), f"to leave out {name} changes nothing: {dict(changes)}"

    def learns(self) -> None:
        """Gradients reach every named group and nothing else. Losses fall; the result folds and is no worse."""
        world, (strategy, watch, trace) = self.world, self._run
        watch.judge()
        backbone = set(strategy.encoder.backbone.parameters())
        trained = [w.phase.name for w in watch.phases if any(p in backbone for ps in w.groups.values() for p in ps)]
        assert self.cls.trains_backbone or not trained, f"trains_backbone is False, and these phases do: {trained}"
        assert all(math.isfinite(point.get("loss", 0.0)) for point in trace.curves)
        self._falls(trace, any(w.groups for w in watch.phases), bool(critics(world)))
        x = {USUAL: world.target.x}
        deployed, baseline = strategy.deployed().eval(), source_model().deployed().eval()
        with torch.no_grad():
            logits = deployed(x)
            folded = fold(deployed.encoder.bottleneck, deployed.head)(deployed.encoder.backbone(x).pooled)
            before = baseline(x)
        assert torch.allclose(logits, folded, atol=1e-4), "the folded model says something else"
        assert world.target.hidden is not None
        truth = world.target.hidden
        reached, floor = (strategy.task.score(y, truth) for y in (logits, before))
        assert reached >= floor - FLOOR, f"score on the target {reached:.3f}, of source-only {floor:.3f}"

    def _falls(self, trace: Trace, learns: bool, adversarial: bool) -> None:
        """Check that the loss falls.

        It is the supervised one, logged as ``task``, else the total, unless a critic plays in that.
        """
        name = "task" if any("task" in point for point in trace.curves) else "loss"
        course = [point[name] for point in trace.curves if name in point]
        if not learns or (name == "loss" and adversarial):
            return
        few = max(1, len(course) // 8)
        first, last = sum(course[:few]) / few, sum(course[-few:]) / few
        assert last < first, f"the {name} loss does not fall: {first:.4f} at the start, {last:.4f} at the end"

    def adversaries(self) -> None:
        """Critics learn to distinguish the domains, and the encoder learns against them."""
        _, _, trace = self._run
        logged = any(key.split("/")[-1] == "critic_accuracy" for point in trace.curves for key in point)
        found = "critic_accuracy is logged, and no critic is found: call it with self.reverse(z, …, at)"
        assert critics(self.world) or not logged, found
        check_critics(self.world)
        check_reversal(self.world, logged)

    def needs(self) -> None:
        """It takes steps on every task that its needs allow."""
        for task, entry in plugins.entries("tasks").items():
            if entry.builtin:
                runs(self.cls, task)

    @cached_property
    def _whole(self) -> dict[str, Tensor]:
        return self._trained(self.world.streams())

    def _trained(self, streams: dict[str, Any]) -> dict[str, Tensor]:
        strategy = self.world.strategy()
        toy_train(strategy, streams, steps=SHORT)
        return strategy.state_dict()

    def blind(self) -> None:
        """Labels of a sealed target change no bit of the result."""
        target = self.world.target
        if target.labels is not None or target.hidden is None:
            return
        other = ToyRows(target.x, 1 - target.hidden, sealed=True)
        changed = _differing(self._trained(self.world.streams(other)), self._whole)
        assert not changed, f"sealed labels of the target change: {changed}"

    def resumes(self) -> None:
        """A run that was stopped and resumed ends bit-equal."""

        def stop(strategy: Strategy, step: int) -> dict[str, float]:
            raise _Stop

        streams = self.world.streams()
        with tempfile.TemporaryDirectory() as folder:
            with suppress(_Stop):
                own = {"folder": Path(folder), "judge": stop, "every": 7}
                toy_train(self.world.strategy(), streams, steps=SHORT, **own)
            again = self.world.strategy()
            toy_train(again, streams, steps=SHORT, folder=Path(folder), resume=True)
        lost = _differing(again.state_dict(), self._whole)
        assert not lost, f"other weights after resuming: {lost}"


def _differing(a: dict[str, Tensor], b: dict[str, Tensor]) -> list[str]:
    return [name for name in b if not torch.equal(a[name], b[name])]
