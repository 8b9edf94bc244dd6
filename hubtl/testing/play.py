"""Take steps in one phase of a new strategy, without learning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hubtl.batch import Batch
from hubtl.data.streams import StepBatches
from hubtl.engine.device import make_accelerator
from hubtl.engine.modes import freeze_all_but, learning_groups, set_modes
from hubtl.engine.sweep import outputs
from hubtl.recipe.schema import RunSection
from hubtl.strategy import Loss, Phase, Progress, Strategy, Swept
from hubtl.testing.toy import ToyWorld

LATE = 1_000_000  # updates after which every ramp is at its end


@dataclass
class Play:
    """Hold one phase of a new strategy, ready for steps without learning."""

    strategy: Strategy
    phase: Phase
    groups: dict[str, list[nn.Parameter]]
    streams: Mapping[str, Any]
    batches: list[dict[str, Batch]]
    at: Progress

    def sweep(self, stream: str) -> Swept:
        seen = outputs(self.strategy.deployed(), self.streams[stream], make_accelerator(RunSection(device="cpu"), None))
        labels = self.streams[stream].labels
        return Swept(seen.features, seen.logits, None if labels is None else torch.from_numpy(labels))

    def critic(self, name: str) -> nn.Module:
        return self.strategy.get_submodule(name)

    def encoder(self) -> list[nn.Parameter]:
        learning = {p for ps in self.groups.values() for p in ps}
        return [p for p in self.strategy.encoder.parameters() if p in learning]

    def losses(self, step: int = 0) -> list[Loss]:
        """Return the losses of the step, always with the same random numbers."""
        torch.manual_seed(3)
        return list(self.phase.step(**self.batches[step], at=self.at))

    def total(self, losses: Sequence[Loss], learners: Sequence[nn.Parameter]) -> Tensor:
        """Return the sum of the losses that some learners learn from."""
        named = {name for name, ps in self.groups.items() if any(p in set(learners) for p in ps)}
        own = [loss.total for loss in losses if loss.by is None or named & set(loss.by)]
        return torch.stack(own).sum() if own else torch.zeros(())


def plays(world: ToyWorld, streams: Mapping[str, Any], number: int, *, steps: int = 1) -> Play:
    """Return phase ``number`` of a new strategy. It is at the end of its ramps, after its refresh."""
    strategy = world.strategy()
    phase = list(strategy.phases())[number]
    groups = learning_groups(phase.learns, set(strategy.parameters()))
    seen = {name: streams[name] for name in phase.sees}
    batches = StepBatches(seen, batch_size=32, seed=number, views=phase.views)
    play = Play(strategy, phase, groups, seen, [batches[i] for i in range(steps)], Progress(number, 0, LATE, 1.0))
    if phase.refresh is not None:
        phase.refresh(play.sweep, Progress(number, 0, 0, 0.0))
    learning = {p for ps in groups.values() for p in ps}
    freeze_all_but(strategy, learning)
    set_modes(strategy, learning)
    return play


def gradient(total: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    if not total.requires_grad:
        return [torch.zeros_like(p) for p in parameters]
    found = torch.autograd.grad(total, list(parameters), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]
