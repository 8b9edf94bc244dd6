"""Watch a training: which groups each loss gave gradients to, and what moved."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from hubtl.engine.modes import learning_groups
from hubtl.errors import HubtlError
from hubtl.strategy import Loss, Phase, Strategy


@dataclass
class Watched:
    """Hold the observations of one phase."""

    phase: Phase
    groups: dict[str, list[nn.Parameter]]
    before: dict[str, Tensor]  # weights
    counts: set[int] = field(default_factory=set)  # of yields, an update
    steps: int = 0  # updates done
    place: int = 0  # of the loss that was yielded last
    by: tuple[str, ...] | None = None  # and who learns from it
    reached: set[tuple[int, str]] = field(default_factory=set)  # (place of the loss, group) that got a gradient
    asked: set[tuple[int, str]] = field(default_factory=set)  # that a loss names
    strays: set[str] = field(default_factory=set)  # parameters with a gradient that nobody asked for


class Watch:
    """Watch a strategy while it trains: ``with Watch(strategy) as watch: …``, then ``watch.judge()``."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.names = {p: n for n, p in strategy.named_parameters()}
        self.phases: list[Watched] = []
        self.foreign = 0  # steps of optimisers that are not the engine's
        phases = list(strategy.phases())
        tunable = {p for p in strategy.parameters() if p.requires_grad}

        def noted() -> Iterator[Phase]:
            for phase in phases:
                watched = Watched(phase, learning_groups(phase.learns, tunable), self.weights())
                self.phases.append(watched)
                yield replace(phase, step=_spy(watched))

        object.__setattr__(strategy, "phases", noted)

    def __enter__(self) -> "Watch":
        self._hook = register_optimizer_step_pre_hook(self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hook.remove()
        self.after = self.weights()

    def weights(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for p, name in self.names.items()}

    def _look(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if not self.phases or "base_lr" not in optimizer.param_groups[0]:
            # one on tensors that are not the strategy's own, as in a closed fit, is no business of the engine's
            self.foreign += any(p in self.names for group in optimizer.param_groups for p in group["params"])
            return
        now = self.phases[-1]
        learning = [name for name in now.groups if now.by is None or name in now.by]
        expected = {p for name in learning for p in now.groups[name]}
        for name in learning:
            if any(_nonzero(p) for p in now.groups[name]):
                now.reached.add((now.place, name))
        if now.by is not None:
            now.asked |= {(now.place, name) for name in learning}
        if now.steps == 0:  # the first update says it: what is frozen or dropped is so in all
            now.strays |= {name for p, name in self.names.items() if p not in expected and _nonzero(p)}

    def judge(self) -> None:
        """Raise HubtlError where a group gets no gradient. AssertionError reports another group that gets one or moves."""
        assert self.foreign == 0, "an optimiser of its own: the engine takes the steps, and checkpoints their state"
        ends = [*(watched.before for watched in self.phases[1:]), self.after]
        for watched, after in zip(self.phases, ends, strict=True):
            self._gradients(watched)
            self._moved(watched, after)
            assert len(watched.counts) == 1, f"the number of yields varies: {watched.phase.name}: {watched.counts}"

    def _gradients(self, watched: Watched) -> None:
        phase = watched.phase
        for group, parameters in watched.groups.items():
            if parameters and not any(name == group for _, name in watched.reached):
                raise HubtlError(
                    f"no gradient reaches group {group!r} in phase {phase.name!r}",
                    hint="use it in the loss, or drop it",
                )
        for place, group in sorted(watched.asked - watched.reached):
            if watched.groups[group]:
                raise HubtlError(
                    f"loss {place} of phase {phase.name!r} is for group {group!r}, and gives it no gradient",
                    hint="by=(…) names who learns from a loss",
                )
        assert not watched.strays, f"gradients in phase {phase.name!r} outside what learns: {sorted(watched.strays)}"

    def _moved(self, watched: Watched, after: dict[str, Tensor]) -> None:
        before, learning = watched.before, {self.names[p] for ps in watched.groups.values() for p in ps}
        for group, parameters in watched.groups.items():
            own = [self.names[p] for p in parameters]
            assert not own or any(not torch.equal(before[n], after[n]) for n in own), f"group {group!r} does not move"
        # a child in which nothing learns now, such as a teacher, may be written by the step itself
        written = {
            f"{name}.{n}"
            for name, child in self.strategy.named_children()
            if name not in ("encoder", "head") and not any(self.names.get(p) in learning for p in child.parameters())
            for n, _ in child.named_parameters()
        }
        strays = [n for n in before if n not in learning | written and not torch.equal(before[n], after[n])]
        assert not strays, f"phase {watched.phase.name!r} changes what it does not name: {strays}"


def _nonzero(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and bool(parameter.grad.any())


def _spy(watched: Watched) -> Any:
    def step(**streams: Any) -> Iterator[Loss]:
        count = 0
        for loss in watched.phase.step(**streams):
            count += 1
            watched.place, watched.by = count, getattr(loss, "by", None)
            yield loss
        watched.counts.add(count)
        watched.steps += 1

    return step
