"""Compute a phase's number of updates, refreshes and evaluations. It tells when it refreshes and evaluates."""

from dataclasses import dataclass

from hubtl.recipe.schema import RunSection
from hubtl.strategy import Phase


@dataclass(frozen=True)
class Rhythm:
    """Decide when a phase of ``total`` updates is evaluated.

    A partial estimate is no model: a phase in which nothing learns is evaluated at its end only.
    """

    total: int
    every: int | None
    learns: bool

    def evaluates(self, done: int) -> bool:
        return self.over(done) or (self.learns and done % (self.every or self.total) == 0)

    def over(self, done: int) -> bool:
        return done == self.total


def phase_steps(phase: Phase, run: RunSection, per_epoch: int) -> int:
    """Return the updates of a phase: its own number, its epochs, or its share of the run's.

    Args:
        phase: the phase.
        run: the section ``run`` of the recipe.
        per_epoch: updates of one epoch.
    """
    assert run.steps is not None
    if phase.steps is not None:
        return phase.steps
    if phase.epochs is not None:
        return max(1, round(phase.epochs * per_epoch))
    return max(1, round(run.steps * phase.share))


def refresh_due(step: int, total: int, per_epoch: int, phase: Phase) -> bool:
    """Return whether a phase refreshes before a step.

    It does where an epoch begins, or evenly where it has too few epochs.

    Args:
        step: updates done.
        total: updates of the phase.
        per_epoch: updates of one epoch.
        phase: the phase.
    """
    wanted = phase.refreshes or 0
    if wanted * per_epoch <= total:
        return step % per_epoch == 0
    return step == 0 or step * wanted // total > (step - 1) * wanted // total
