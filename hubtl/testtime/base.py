"""Adapt a model at test time: it changes while it predicts, without labels or source."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hubtl.batch import Inputs
from hubtl.errors import HubtlError
from hubtl.plugins.blame import broken, minded
from hubtl.recipe.bounded import Bounded
from hubtl.settings import logger
from hubtl.testtime.order import Witness

NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)
MEMORY = 0.9  # of the running distribution of predicted classes


class TestTimeOptions(Bounded):
    """Hold the options of a test-time method; these two belong to every method."""

    __test__ = False  # no test class, whatever its name
    model_config = ConfigDict(frozen=True)
    reset_every: int = Field(0, ge=0, description="restore the source model after this many batches; 0: never")
    guard: float = Field(
        0.2, ge=0, le=1, description="restore the source model where fewer than this share of classes is predicted"
    )


class LearningOptions(TestTimeOptions):
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam")


@dataclass
class Stats:
    """Count what happened in a stream."""

    batches: int = 0
    rows: int = 0
    learnt: int = 0  # rows that an update was computed from
    resets: int = 0
    collapses: int = 0  # resets by a guard
    warnings: list[str] = field(default_factory=list)  # why the answers may not be trusted


class TestTime(ABC):
    """Adapt a copy of a model while it predicts; the original stays unchanged.

    The model maps inputs to logits [b, c] and stays in eval mode. Only BatchNorm differs: it uses the statistics of
    each batch and leaves its running ones alone. A guard restores the source model where predictions collapse to few
    classes, that is where ``exp(H)`` of the running distribution of predicted classes falls under ``max(1.05, guard ·
    c)``.
    """

    __test__ = False
    Options: ClassVar[type[TestTimeOptions]] = TestTimeOptions
    paper: ClassVar[str | None] = None
    learns: ClassVar[str] = "norms"  # "norms", "all" or "nothing"
    needs: ClassVar[tuple[str, ...]] = ("features", "probabilities")  # without the latter: works on every task

    def __init__(self, model: nn.Module, options: TestTimeOptions | None = None) -> None:
        self.options: Any = options if options is not None else self.Options()
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.stats = Stats()
        self.learning = self._choose()
        self.source = {name: p.detach().clone() for name, p in self.learning.items()}
        self._norms = [m for m in self.model.modules() if isinstance(m, _BatchNorm)]
        self.use_batch_statistics()
        self.usual: Tensor | None = None  # the running distribution of predicted classes
        self._since = self._told = 0
        self.begin()

    def _choose(self) -> dict[str, nn.Parameter]:
        norms = {n: m for n, m in self.model.named_modules() if isinstance(m, NORMS)}
        if self.learns == "nothing":
            return {}
        chosen = (
            dict(self.model.named_parameters())
            if self.learns == "all"
            else {f"{n}.{k}" if n else k: p for n, m in norms.items() for k, p in m.named_parameters(recurse=False)}
        )
        if not chosen:
            raise HubtlError(
                f"{type(self).__name__} learns scales and shifts of normalisation layers, and this model has none",
                hint="a model with BatchNorm, GroupNorm or LayerNorm, or --tta cotta, which learns everything",
            )
        for p in chosen.values():
            p.requires_grad_(True)
        return chosen

    def use_batch_statistics(self) -> None:
        """Make every BatchNorm normalise with its batch."""
        for norm in self._norms:
            norm.training, norm.track_running_stats = True, False  # so that the running ones are not touched

    def begin(self) -> None:
        """Set up a method's state, at first and after each reset; an override calls this."""
        self.usual, self._since = None, 0

    def predict(self, inputs: Inputs | Tensor) -> Tensor:
        """Return logits [b, c] of a batch, then learn from the batch.

        The logits come from the model as it was before this batch.
        """
        rows = len(inputs) if isinstance(inputs, Tensor) else len(next(iter(inputs.values())))
        if rows < 2 and self._norms:
            raise HubtlError(
                "one row has no batch statistics, and this model's BatchNorm needs them",
                hint="--batch-size 32 or more, and more inputs than one",
            )
        if self.options.reset_every and self._since == self.options.reset_every:
            self.reset()
        self.stats.batches += 1
        self.stats.rows += rows
        self._since += 1
        with torch.inference_mode(False), torch.enable_grad():
            logits = self.forward(inputs)
            if self._collapsed(logits.detach()):
                self.stats.collapses += 1
                self.reset()
                return self._checked(self.answer(self.forward(inputs).detach()), rows)
            answer = self._checked(self.answer(logits.detach()), rows)
            with minded(self, "update"):
                self.update(inputs, logits)
        return answer

    def _checked(self, answer: Any, rows: int) -> Tensor:
        """Return finite logits of a batch.

        Raises:
            HubtlError: for anything else.
        """
        if not isinstance(answer, Tensor) or answer.ndim != 2 or len(answer) != rows:
            shape = f" of shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else ""
            raise broken(self, f"answers {rows} rows with a {type(answer).__name__}{shape}", "logits [b, c]")
        if bad := int((~torch.isfinite(answer)).any(dim=1).sum()):
            raise broken(
                self, f"gives logits that are not finite for {bad} of {rows} rows", "--tta-set guard=0.2, or less lr"
            )
        return answer

    def forward(self, inputs: Any) -> Tensor:
        """Return the logits that are scored."""
        logits: Tensor = self.model(inputs)
        return logits

    def answer(self, logits: Tensor) -> Tensor:
        """Return the final logits for the logits of the forward."""
        return logits.clone()

    @abstractmethod
    def update(self, inputs: Any, logits: Tensor) -> None:
        """Learn from a batch that was scored already.

        Args:
            inputs: inputs of the batch.
            logits: logits [b, c] of its forward.
        """

    def warn(self, witness: Witness | None) -> None:
        """Store reasons to distrust a stream's predictions in ``stats.warnings``. They are logged, too.

        Without a witness nothing is known of the stream.
        """
        found = [] if witness is None else witness.said(self.stats.collapses - self._told)
        self._told = self.stats.collapses
        for text in found:
            logger.warning("test time  %s", text)
        self.stats.warnings += found

    @torch.no_grad()
    def reset(self) -> None:
        """Restore the source model, bit for bit."""
        for name, p in self.learning.items():
            p.copy_(self.source[name])
            p.grad = None
        self.stats.resets += 1
        self.begin()

    def _collapsed(self, logits: Tensor) -> bool:
        if self.options.guard == 0:
            return False
        if not bool(torch.isfinite(logits).all()):
            return True
        classes = logits.shape[1]
        now = torch.bincount(logits.argmax(dim=1), minlength=classes).float() / len(logits)
        before = torch.full_like(now, 1 / classes) if self.usual is None else self.usual
        self.usual = MEMORY * before + (1 - MEMORY) * now
        spread = math.exp(float(torch.special.entr(self.usual).sum()))
        return spread < max(1.05, float(self.options.guard) * classes)


class Learning(TestTime):
    """Take one step of Adam for each batch."""

    Options = LearningOptions

    def begin(self) -> None:
        super().begin()
        self.optimizer = torch.optim.Adam(list(self.learning.values()), lr=self.options.lr)

    def descend(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def make(method: type[TestTime], model: nn.Module, options: Mapping[str, Any] | None = None) -> TestTime:
    """Make a method on a model, with checked options.

    Args:
        method: the class of the method.
        model: maps inputs to logits [b, c]; it is copied.
        options: options of the method by name.

    Raises:
        HubtlError: for an unknown option.
    """
    from pydantic import ValidationError

    try:
        with minded(method, "its __init__"):
            return method(model, method.Options(**(options or {})))
    except ValidationError as error:
        first = error.errors()[0]
        raise HubtlError(
            f"{method.__name__} option {'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}",
            hint=f"one of: {', '.join(method.Options.model_fields)}",
        ) from error
