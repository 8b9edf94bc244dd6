"""Provide what methods with a domain critic share: options, ramp of the reversal, critic."""

import math

from pydantic import Field

from hubtl.modules import Critic
from hubtl.strategy import Progress, StrategyOptions
from hubtl.tasks import Task


class CriticOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the adversarial loss")
    ramp_steps: float = Field(1000.0, gt=0, description="time constant of the reversal's ramp, in updates")
    critic_width: int = Field(1024, ge=1, description="hidden width of the critic's two layers")
    critic_batchnorm: bool = Field(True, description="BatchNorm in the critic")


def ramp(at: Progress, steps: float) -> float:
    """Return ``2 / (1 + exp(−i / steps)) − 1``, from 0 to 1 with the phase's updates ``i``."""
    return 2 / (1 + math.exp(-at.step / steps)) - 1


def critic_of(width: int, options: CriticOptions, task: Task | None = None) -> Critic:
    """Make a critic of features.

    Args:
        width: the width of the features.
        options: the critic's options.
        task: if given, the critic compares each of its source domains with the target separately.
    """
    pairs = 1 if task is None else max(1, len(task.source_domains))
    return Critic(width, options.critic_width, batchnorm=options.critic_batchnorm, pairs=pairs)
