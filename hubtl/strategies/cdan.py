"""CDAN: a critic conditioned on predictions."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hubtl.losses import domain_accuracy
from hubtl.losses.conditional import certainty, outer, weighted_domain_loss
from hubtl.modules import Encoder
from hubtl.strategies.critics import CriticOptions, critic_of, ramp
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions
from hubtl.tasks import Task


class CDAN(Additive):
    """Train features that a critic conditioned on predictions cannot tell apart.

    ``L = task(h(f(x_s)), y_s) + weight · BCE(critic(R_λ(z ⊗ softmax(y))), domain)``; the predictions are detached, and
    ``λ`` grows as in DANN.

    Both domains go through one forward: BatchNorm statistics are shared. Deviation: the outer product at any size, no
    random projection.
    """

    Options = CriticOptions
    paper = "arXiv:1705.10667"
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}
    entropy_conditioned = False

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.critic = critic_of(encoder.width * len(task.outputs.names), self.options, task)

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        n = len(pair.zs)
        strength = ramp(at, self.options.ramp_steps)
        logits = torch.cat([pair.ys, pair.yt])
        features = self.reverse(torch.cat([pair.zs, pair.zt]), strength, at)
        verdict = self.critic(outer(features, logits.float().softmax(dim=1).detach()), pair.number)
        domain = weighted_domain_loss(verdict, n, certainty(logits) if self.entropy_conditioned else None)
        accuracy = domain_accuracy(verdict[:n], verdict[n:])
        return self.options.weight * domain, {"domain": domain, "critic_accuracy": accuracy}


class CDANE(CDAN):
    """Train CDAN with rows weighted by the certainty of their predictions (CDAN+E).

    ``L = task(h(f(x_s)), y_s) + weight · mean w · BCE(critic(R_λ(z ⊗ softmax(y))), domain)`` with
    ``w = 1 + exp(−H(softmax(y)))``, detached, of mean 1 over both batches.

    Both domains go through one forward: BatchNorm statistics are shared.
    """

    entropy_conditioned = True
