"""OSBP: an output for unknown classes, learnt without labels."""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor, nn

from hubtl.errors import HubtlError
from hubtl.losses.openset import unknown_boundary
from hubtl.modules import Encoder
from hubtl.strategies.critics import ramp
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions
from hubtl.tasks import Task


class OSBPOptions(StrategyOptions):
    weight: float = Field(1.0, ge=0, description="weight of the adversarial loss")
    level: float = Field(0.5, gt=0, lt=1, description="target probability of unknown for the head: t")
    ramp_steps: float = Field(1000.0, gt=0, description="time constant of the reversal's ramp, in updates")


class OSBP(Additive):
    """Learn an output for unknown classes by adversarial training on the target.

    ``L = task(h(f(x_s)), y_s) + weight · mean [−t · log p_u − (1 − t) · log(1 − p_u)]`` over target rows, where
    ``p_u = softmax(h(R_λ(f(x_t))))_u`` is the probability of unknown. The head wants ``p_u = t``; through the reversal
    ``R_λ`` the features want it at 0 or at 1. ``λ`` grows as in DANN.

    Both domains go through one forward: BatchNorm statistics are shared. Deviations: the reversal has DANN's ramp, and
    the head is one linear layer, so that it ships inside a plain classifier with one more class. The checkpoint is the
    last one, because label-free selection takes a probability of unknown near ``t`` for uncertainty. The source-only
    model beside it has no output for unknown, and no threshold: its recall of unknown is 0.
    """

    Options = OSBPOptions
    paper = "arXiv:1804.10427"
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay", "run.validator": "last"}
    suits = {"open": {}}
    unknown = True

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        if task.unknown is None:
            raise HubtlError("osbp needs a class for what is unknown", hint="set task.unknown to its index")

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        assert self.task.unknown is not None
        logits = self.head(self.reverse(pair.zt, ramp(at, self.options.ramp_steps), at))
        boundary = unknown_boundary(logits, self.task.unknown, self.options.level)
        share = (pair.yt.argmax(dim=1) == self.task.unknown).float().mean()
        return self.options.weight * boundary, {"boundary": boundary, "called_unknown": share}
