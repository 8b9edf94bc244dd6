"""PADA: DANN with source classes weighted by their share in the target."""

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from hubtl.batch import Batch
from hubtl.losses import domain_accuracy
from hubtl.losses.conditional import weighted_domain_loss
from hubtl.losses.openset import class_weights
from hubtl.modules import Encoder
from hubtl.strategies.critics import CriticOptions, critic_of, ramp
from hubtl.strategy import Loss, Progress, Strategy, StrategyOptions
from hubtl.tasks import Task


class PADAOptions(CriticOptions):
    rate: float = Field(0.01, gt=0, le=1, description="weight of the newest batch in the running mean of predictions")


class PADA(Strategy):
    """Train DANN with source classes weighted by their share in the target.

    It is made for a target that lacks classes of the source. ``L = mean γ_y · task(h(f(x_s)), y_s) + weight · ½ [mean
    γ_y · BCE(critic(R_λ(f(x_s))), 1) + mean BCE(critic(R_λ(f(x_t))), 0)]`` with ``γ = p̄ / max p̄`` and ``p̄`` the mean
    softmax on the target; ``R_λ`` and its ramp as in DANN.

    Both domains go through one forward: BatchNorm statistics are shared. Deviation: ``p̄`` is a running mean over
    batches, which starts uniform, where the paper sweeps the whole target every so many updates: no extra passes,
    and weights that do not jump. With gradient accumulation it follows the first micro-batch of each update.
    """

    Options = PADAOptions
    paper = "arXiv:1808.04205"
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}
    suits = {"partial": {}, "closed": {}}

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.critic = critic_of(encoder.width, self.options)
        self.predicted: Tensor  # [c]
        self.register_buffer("predicted", torch.full((len(task.outputs.names),), 1 / len(task.outputs.names)))

    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:
        fs, ft = self.encode_joint(source, target)
        zs, zt = fs.pooled, ft.pooled
        weights = class_weights(self.predicted)
        of_rows = (
            None if source.labels is None else weights[source.labels.clamp_min(0)]
        )  # no class: left out of the loss
        task = self.task.loss(self.head(zs), source.labels, of_rows)
        verdict = self.critic(self.reverse(torch.cat([zs, zt]), ramp(at, self.options.ramp_steps), at))
        n = len(zs)
        both = None if of_rows is None else torch.cat([of_rows, of_rows.new_ones(len(zt))])
        domain = weighted_domain_loss(verdict, n, both)
        with torch.no_grad():
            now = self.head(zt).float().softmax(dim=1).mean(dim=0)
        logs = {"task": task, "domain": domain, "critic_accuracy": domain_accuracy(verdict[:n], verdict[n:])}
        yield Loss(task + self.options.weight * domain, logs=logs | {"lightest_class": weights.min()})
        self.predicted.lerp_(now, self.options.rate)
