"""IWAN: a critic that down-weights source rows unlike the target."""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from hubtl.losses import domain_accuracy, domain_loss, entropy
from hubtl.losses.conditional import weighted_domain_loss
from hubtl.losses.openset import importance
from hubtl.modules import Encoder
from hubtl.strategies.critics import CriticOptions, critic_of, ramp
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions
from hubtl.tasks import Task


class IWANOptions(CriticOptions):
    entropy_weight: float = Field(0.1, ge=0, description="weight of the entropy of each target prediction")


class IWAN(Additive):
    """Train DANN with source rows weighted by their similarity to the target.

    It is made for a target that lacks classes of the source: a second critic, the weigher, finds the source rows
    without a counterpart there. ``L = CE(h(z_s), y_s) + weight · ½ [mean w · BCE(critic(R_λ z_s), 1) + mean
    BCE(critic(R_λ z_t), 0)] + BCE(weigher(z), domain) + entropy_weight · mean H(softmax(h(z_t)))`` with ``w = 1 −
    σ(weigher(z_s))``, of mean 1 over the batch and detached. The weigher gets features without a gradient, and ``R_λ``
    with its ramp is DANN's.

    Both domains go through one forward: BatchNorm statistics are shared. The weights' mean is that of one batch.
    Deviations: both domains share one encoder, where the paper adapts a copy for the target to a frozen source's; hence
    the weigher meets features that are being aligned, and the weights approach 1.
    """

    Options = IWANOptions
    paper = "arXiv:1803.09210"
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}
    suits = {"partial": {}, "closed": {}}

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.critic = critic_of(encoder.width, self.options)
        self.weigher = critic_of(encoder.width, self.options)  # plays against nobody

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        n, both = len(pair.zs), torch.cat([pair.zs, pair.zt])
        told = self.weigher(both.detach())
        weigher = domain_loss(told[:n], told[n:])
        weights = torch.cat([importance(told[:n]), told.new_ones(len(pair.zt))])
        verdict = self.critic(self.reverse(both, ramp(at, self.options.ramp_steps), at))
        domain = weighted_domain_loss(verdict, n, weights)
        unsure = entropy(pair.yt).mean()
        total = self.options.weight * domain + weigher + self.options.entropy_weight * unsure
        accuracy = domain_accuracy(verdict[:n], verdict[n:])
        logs = {"domain": domain, "weigher": weigher, "entropy": unsure, "critic_accuracy": accuracy}
        return total, logs
