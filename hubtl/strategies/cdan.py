"""CDAN: a critic that sees features together with predictions."""

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from hubtl.losses import domain_accuracy
from hubtl.losses.conditional import certainty, outer, weighted_domain_loss
from hubtl.modules import Critic, Encoder, reverse_gradient
from hubtl.strategies.dann import pairs_of
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions
from hubtl.tasks import Task


class CDANOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the adversarial loss")
    ramp_steps: float = Field(1000.0, gt=0, description="time constant of the reversal's ramp, in updates")
    critic_width: int = Field(1024, ge=1, description="hidden width of the critic's two layers")
    critic_batchnorm: bool = Field(True, description="BatchNorm in the critic")


class CDAN(Additive):
    """Train features that classify the source while a critic of features and predictions cannot tell the domains.

    ``L = CE(h(f(x_s)), y_s) + weight · BCE(critic(R_λ(z ⊗ softmax(y))), domain)``; the predictions are detached, and
    ``λ`` grows as in DANN.

    Both domains go through one forward: BatchNorm statistics are shared. Deviation: the outer product at any size, no
    random projection.
    """

    Options = CDANOptions
    paper = "arXiv:1705.10667"
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}
    entropy_conditioned = False

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        width = encoder.width * len(task.classes)
        self.critic = Critic(
            width, self.options.critic_width, batchnorm=self.options.critic_batchnorm, pairs=pairs_of(task)
        )

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        n = len(pair.zs)
        strength = at.reversal * (2 / (1 + math.exp(-at.step / self.options.ramp_steps)) - 1)
        logits = torch.cat([pair.ys, pair.yt])
        features = reverse_gradient(torch.cat([pair.zs, pair.zt]), strength)
        verdict = self.critic(outer(features, logits.float().softmax(dim=1).detach()), pair.number)
        domain = weighted_domain_loss(verdict, n, certainty(logits) if self.entropy_conditioned else None)
        accuracy = domain_accuracy(verdict[:n], verdict[n:])
        return self.options.weight * domain, {"domain": domain, "critic_accuracy": accuracy}


class CDANE(CDAN):
    """CDAN whose critic listens more to rows that the classifier is sure of (entropy conditioning, CDAN+E).

    ``L = CE(h(f(x_s)), y_s) + weight · mean w · BCE(critic(R_λ(z ⊗ softmax(y))), domain)`` with
    ``w = 1 + exp(−H(softmax(y)))``, detached, of mean 1 over both batches.

    Both domains go through one forward: BatchNorm statistics are shared.
    """

    entropy_conditioned = True
