"""DANN: features that a domain critic cannot tell apart."""

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from hubtl.losses import domain_accuracy, domain_loss
from hubtl.modules import Critic, Encoder, reverse_gradient
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions
from hubtl.tasks import Task


def pairs_of(task: Task) -> int:
    """How many pairs of a source and the target a critic has to tell apart."""
    return max(1, len(task.source_domains))


def ramp(at: Progress, steps: float) -> float:
    """``2 / (1 + exp(−i / steps)) − 1``: from 0 to 1 with the updates ``i`` of the phase."""
    return 2 / (1 + math.exp(-at.step / steps)) - 1


class DANNOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the adversarial loss")
    ramp_steps: float = Field(1000.0, gt=0, description="time constant of the reversal's ramp, in updates")
    critic_width: int = Field(1024, ge=1, description="hidden width of the critic's two layers")
    critic_batchnorm: bool = Field(True, description="BatchNorm in the critic")


class DANN(Additive):
    """Train features that classify the source while a critic fails to tell the domains apart.

    ``L = CE(h(f(x_s)), y_s) + weight · BCE(critic(R_λ(f(x))), domain)``, where ``R_λ`` is the identity forward and
    multiplies the gradient by ``−λ`` backward, and ``λ(i) = 2 / (1 + exp(−i / ramp_steps)) − 1`` grows with the
    updates ``i``.

    Both domains go through one forward: BatchNorm statistics are shared, and with the critic's BatchNorm its decision
    is
    relative to the batch. Deviation: the paper ramps over the fraction of the run (α = 10); this ramps over absolute
    updates, as the reference implementation that reports the best figures does.
    """

    Options = DANNOptions
    paper = "arXiv:1505.07818"
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.critic = Critic(
            encoder.width, self.options.critic_width, batchnorm=self.options.critic_batchnorm, pairs=pairs_of(task)
        )

    def strength(self, at: Progress) -> float:
        """λ, the factor of the reversed gradient."""
        return at.reversal * ramp(at, self.options.ramp_steps)

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        reversed_ = reverse_gradient(torch.cat([pair.zs, pair.zt]), self.strength(at))
        verdict = self.critic(reversed_, pair.number)
        vs, vt = verdict[: len(pair.zs)], verdict[len(pair.zs) :]
        domain = domain_loss(vs, vt)
        return self.options.weight * domain, {"domain": domain, "critic_accuracy": domain_accuracy(vs, vt)}
