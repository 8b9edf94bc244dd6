"""ADDA: a separate target encoder, trained adversarially to match the source's."""

import copy
from collections.abc import Iterator, Sequence

import torch
from pydantic import Field
from torch import nn

from hubtl.batch import Batch
from hubtl.losses import domain_accuracy, domain_loss
from hubtl.modules import Critic, Encoder
from hubtl.strategies.critics import ramp
from hubtl.strategy import Judging, Loss, Phase, Progress, Strategy, StrategyOptions, Sweep
from hubtl.tasks import Task


class ADDAOptions(StrategyOptions):
    source_share: float = Field(0.5, gt=0, lt=1, description="share of the updates that train on the source")
    weight: float = Field(2.0, ge=0, description="factor of the reversed gradient, at the end of its ramp")
    ramp_steps: float = Field(1000.0, gt=0, description="time constant of the reversal's ramp, in updates")
    critic_width: int = Field(1024, ge=1, description="hidden width of the critic's two layers")
    adapt_lr: float = Field(0.1, gt=0, description="factor on the learning rates while adapting")


class ADDA(Strategy):
    """Train a target encoder whose features a critic takes for the source's.

    Phase ``source``: ``task(h(f_s(x_s)), y_s)``. Phase ``adapt``: ``f_t`` starts as a copy of ``f_s``; ``f_s`` and
    ``h`` are frozen; ``L = BCE(critic(f_s(x_s)) against critic(R_λ f_t(x_t)))``. ``h(f_t(x))`` is deployed.

    Each domain has its own encoder, hence BatchNorm statistics of its own; both have dropout. Deviations, all as in the
    reference implementation: one update with a reversed gradient, which grows to twice its size, in place of two with
    inverted labels; the critic has BatchNorm. There the source is learnt for 3,000 updates and the target for 20,000 at
    the source's rate. At a high rate such as 0.1 the predictions collapse on few classes: hence ``adapt_lr``.
    """

    Options = ADDAOptions
    paper = "arXiv:1702.05464"
    judging = Judging(forgets_source=True)
    needs = ("features",)
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.source_encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.critic = Critic(encoder.width, self.options.critic_width)

    def phases(self) -> Sequence[Phase]:
        share, own = self.options.source_share, self.learners()
        networks = [name for name in own if name not in ("source_encoder", "critic")]
        source = {name: own[name] for name in networks}
        adapt = {name: own[name] for name in [*networks, "critic"] if name != "head"}
        slower = dict.fromkeys(adapt, self.options.adapt_lr)
        return [
            Phase("source", self.source_step, ("source",), source, share=share),
            Phase(
                "adapt", self.step, ("source", "target"), adapt, share=1 - share, lr=slower, refresh=self.copy_encoder
            ),
        ]

    def copy_encoder(self, sweep: Sweep, at: Progress) -> None:
        """Copy the source's encoder, once, before the first update on the target."""
        if at.step == 0:
            self.source_encoder.load_state_dict(self.encoder.state_dict())

    def stir(self) -> None:
        """Enable dropout in the frozen encoder. Its BatchNorms stay in eval mode.

        Otherwise the critic would separate the domains by the noise of dropout.
        """
        for module in self.source_encoder.modules():
            module.training = not isinstance(module, nn.modules.batchnorm._BatchNorm)

    def source_step(self, source: Batch, *, at: Progress) -> Iterator[Loss]:
        task = self.task.loss(self.head(self.encode(source).pooled), source.labels)
        yield Loss(task, logs={"task": task})

    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:
        self.stir()
        with torch.no_grad():
            zs = self.source_encoder(source.inputs, source.present or None).pooled
        strength = at.added * self.options.weight * ramp(at, self.options.ramp_steps)
        zt = self.reverse(self.encode(target).pooled, strength, at)
        verdict = self.critic(torch.cat([zs, zt]))
        vs, vt = verdict[: len(zs)], verdict[len(zs) :]
        domain = domain_loss(vs, vt)
        yield Loss(domain, logs={"domain": domain, "critic_accuracy": domain_accuracy(vs, vt)})
