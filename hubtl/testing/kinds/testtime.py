"""The suite for a test-time method: it adapts to a stream, and the model that it was made from stays as it is."""

import copy
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hubtl.tasks.classification import Classification
from hubtl.testing.kinds.suite import Suite, declared, documented
from hubtl.testtime.base import TestTime, make

OUTPUTS, BATCHES, ROWS = 4, 6, 32


class TestTimeSuite(Suite):
    """Check one test-time method, on a small classifier of vectors with BatchNorm."""

    __test__ = False  # no test class, whatever its name
    kind = "testtime"
    mends: ClassVar[Mapping[str, str]] = {
        "documents": "write a docstring, and Field(…, description=…) for each option",
        "predicts": "answer(logits) returns finite logits [b, c]; update takes the gradient of a finite loss",
        "keeps": "change self.model, which is a copy; never the model that __init__ gets",
        "learns": 'change self.learning alone: learns = "norms" or "all" says what that is; learns = "nothing" for none',
        "repeats": "draw from a generator of your own, seeded, or from torch's, which a run seeds",
        "resets": "set up in begin(), which calls super().begin(), all that the method keeps: reset() calls it",
    }

    def __init__(self, cls: type[TestTime], **options: Any) -> None:
        self.cls, self.options = cls, options

    @cached_property
    def model(self) -> nn.Module:
        """A classifier that is used to rows around zero."""
        torch.manual_seed(0)
        task = Classification([str(i) for i in range(OUTPUTS)])
        made = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, OUTPUTS)).train()
        optimizer = torch.optim.Adam(made.parameters(), lr=0.02)
        for batch, labels in _stream(30, moved=0.0, seed=5):
            optimizer.zero_grad()
            task.loss(made(batch), labels).backward()
            optimizer.step()
        return made.eval()

    def _fresh(self, **more: Any) -> TestTime:
        torch.manual_seed(0)
        return make(self.cls, self.model, {"guard": 0, **self.options, **more})

    def _answers(self, method: TestTime, batches: int = BATCHES) -> list[Tensor]:
        torch.manual_seed(1)
        return [method.predict(batch) for batch, _ in _stream(batches)]

    def documents(self) -> None:
        """The class has a docstring, and every option is described. Each option's default is within its bounds."""
        declared(self.kind, self.cls)
        documented(self.cls)
        assert self.cls.learns in ("norms", "all", "nothing"), f"learns is {self.cls.learns!r}"

    def predicts(self) -> None:
        """It answers every batch of a stream with finite logits. It changes them or itself on the way."""
        method = self._fresh()
        answers = self._answers(method)
        assert all(a.shape == (ROWS, OUTPUTS) and bool(a.isfinite().all()) for a in answers), "no finite logits [b, c]"
        with torch.no_grad():
            plain = [self.model(batch) for batch, _ in _stream(BATCHES)]
        assert any(not torch.allclose(a, b, atol=1e-6) for a, b in zip(answers, plain, strict=True)), (
            "every answer is that of the model as it was"
        )

    def keeps(self) -> None:
        """The model that it was made from stays bit-equal."""
        before = copy.deepcopy(self.model.state_dict())
        self._answers(self._fresh())
        changed = [name for name, value in self.model.state_dict().items() if not torch.equal(value, before[name])]
        assert not changed, f"it changes the model that it was made from: {', '.join(changed)}"

    def learns(self) -> None:
        """Only what it declares to learn changes."""
        method = self._fresh()
        before = {name: p.detach().clone() for name, p in method.model.named_parameters()}
        self._answers(method)
        moved = {name for name, p in method.model.named_parameters() if not torch.equal(p, before[name])}
        strays = sorted(moved - set(method.learning))
        assert not strays, f"it changes {', '.join(strays)}, and learns = {self.cls.learns!r}"

    def repeats(self) -> None:
        """The same stream with the same seed gets the same answers."""
        first, second = (self._answers(self._fresh()) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True)), "other answers the second time"

    def resets(self) -> None:
        """After a reset it answers as a fresh one does. So it does by reset_every."""
        method = self._fresh()
        fresh = self._answers(method)
        method.reset()
        again = self._answers(method)
        assert all(torch.equal(a, b) for a, b in zip(fresh, again, strict=True)), "reset() leaves something behind"
        short = self._fresh(reset_every=BATCHES)
        self._answers(short)
        again = self._answers(short)
        assert all(torch.equal(a, b) for a, b in zip(fresh, again, strict=True)), "reset_every leaves something behind"
        assert short.stats.resets == 1, (
            f"reset_every={BATCHES} reset it {short.stats.resets} times in {2 * BATCHES} batches"
        )


def _stream(batches: int, *, moved: float = 0.7, seed: int = 3) -> list[tuple[Tensor, Tensor]]:
    """Return batches of clustered rows and their classes. They are ``moved`` from where the model learnt them."""
    generator = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(OUTPUTS, 8, generator=torch.Generator().manual_seed(4))
    found = []
    for _ in range(batches):
        labels = torch.randint(0, OUTPUTS, (ROWS,), generator=generator)
        found.append((centres[labels] + torch.randn(ROWS, 8, generator=generator) + moved, labels))
    return found
