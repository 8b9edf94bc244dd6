"""AdvEnt: adversarial entropy minimisation."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from pydantic import Field
from torch import Tensor, nn

from hubtl.losses import domain_accuracy, domain_loss
from hubtl.losses.sites import self_information
from hubtl.modules import Encoder
from hubtl.strategy import Additive, Pair, Phase, Progress, StrategyOptions
from hubtl.tasks import Task

WIDTHS = (64, 128, 256, 512)


class AdvEntOptions(StrategyOptions):
    weight: float = Field(1e-3, ge=0, description="factor of the reversed gradient, the paper's λ")
    critic_lr: float = Field(1.0, gt=0, description="factor on the learning rate of the critic")


class AdvEnt(Additive):
    """Make target maps of self-information look like the source's to a critic.

    ``I = −p log p / log c`` for each site and class. ``L = task(h(f(x_s)), y_s) + BCE(critic(I_s), 1) +
    BCE(critic(R_λ(I_t)), 0)``, where ``R_λ`` multiplies the gradient by ``−weight`` backward: the critic learns at its
    full strength. The source's maps have no gradient from the critic.

    The critic has convolutions 4 × 4 of stride 2 with 64, 128, 256 and 512 channels, leaky by 0.2. One more gives a
    verdict for each patch. On a small grid there are as many as halve it to one cell. Both domains go through one
    forward: BatchNorm statistics are shared. Deviations: one update with a reversed gradient in place of two with
    inverted labels, and the run's optimiser for the critic, at ``critic_lr`` times its rate, in place of Adam.
    """

    Options = AdvEntOptions
    paper = "arXiv:1811.12833"
    needs = ("features", "probabilities", "sites")
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        self.critic = critic_of(len(task.outputs.names), getattr(encoder.backbone, "side", 1))

    def phases(self) -> Sequence[Phase]:
        rates = {"critic": self.options.critic_lr}
        return [Phase("adapt", self.step, ("source", "target"), self.learners(), lr=rates)]

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        source = self_information(pair.ys.detach(), pair.sites)
        target = self.reverse(self_information(pair.yt, pair.sites), self.options.weight, at)
        vs, vt = self.critic(source).flatten(), self.critic(target).flatten()
        domain = domain_loss(vs, vt)
        return domain, {"domain": domain, "critic_accuracy": domain_accuracy(vs, vt)}


def critic_of(classes: int, side: int) -> nn.Sequential:
    """Make a critic of maps [b, classes, side, side]; it answers for each patch."""
    halvings = min(len(WIDTHS) + 1, int(math.log2(max(1, side))))
    widths = [classes, *WIDTHS[: max(0, halvings - 1)]]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    if not halvings:  # one cell: nothing to halve
        return nn.Sequential(nn.Conv2d(classes, WIDTHS[0], 1), nn.LeakyReLU(0.2), nn.Conv2d(WIDTHS[0], 1, 1))
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, stride=2, padding=1))
