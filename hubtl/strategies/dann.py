"""DANN: features that a domain critic cannot tell apart."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hubtl.losses import domain_accuracy, domain_loss
from hubtl.modules import Encoder
from hubtl.strategies.critics import CriticOptions, critic_of, ramp
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions
from hubtl.tasks import Task


class DANN(Additive):
    """Train features that a domain critic cannot tell apart.

    ``L = task(h(f(x_s)), y_s) + weight · BCE(critic(R_λ(f(x))), domain)``, where ``R_λ`` is the identity forward and
    multiplies the gradient by ``−λ`` backward, and ``λ(i) = 2 / (1 + exp(−i / ramp_steps)) − 1`` grows with the
    updates ``i``.

    Both domains go through one forward: BatchNorm statistics are shared, and with the critic's BatchNorm its decision
    is relative to the batch. Deviation: the paper ramps over the fraction of the run (α = 10); this ramps over absolute
    updates, as the reference implementation that reports the best figures does.
    """

    Options = CriticOptions
    paper = "arXiv:1505.07818"
    needs = ("features",)
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.critic = critic_of(encoder.width, self.options, task)

    def strength(self, at: Progress) -> float:
        """Return λ, the factor of the reversed gradient."""
        return ramp(at, self.options.ramp_steps)

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        reversed_ = self.reverse(torch.cat([pair.zs, pair.zt]), self.strength(at), at)
        verdict = self.critic(reversed_, pair.number)
        vs, vt = verdict[: len(pair.zs)], verdict[len(pair.zs) :]
        domain = domain_loss(vs, vt)
        return self.options.weight * domain, {"domain": domain, "critic_accuracy": domain_accuracy(vs, vt)}
