"""Adjust a run while it trains, by what is measured.

Rules are functions of the history of a phase: each returns what it has seen, or None. The controller turns that into
factors, within BOUNDS, and the engine applies them between two updates. No rule reads a label of the target, except
of training rows where the target is what is learnt from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from torch import Tensor

from hubtl.strategy import Phase, Strategy

Seen = Mapping[str, float]  # one evaluation: step, fraction, and what was measured
History = Sequence[Seen]  # of one phase, from its start
Watch = Callable[[Strategy, Phase], dict[str, float]]

RISE, SLACK = 1.10, 0.02  # a loss has risen when it is a tenth, and 0.02 nats, above the best of the phase
WRECK = 1.25  # of the loss before training or of guessing, whichever is more: nothing good is left
FALLING = 0.95  # of the loss before: what comes down by itself is left alone
GAP, LEAST_GAP = 1.5, 0.10  # held-out rows may lose half as much again as training rows, and 0.1 nats
NOISE, LEAST_LOSS = 0.5, 0.05  # standard deviation of a loss over its mean; a loss near nought is always noisy
STALLED = 0.98  # of the loss before: noise does no harm while a loss falls
DOMINATES = 0.95  # accuracy of a critic
RAMP = 1 / 3  # of a phase, in which the reversal grows from nought and a critic is meant to win


class Bound(NamedTuple):
    """Bound an adjustment. It also holds the number of evaluations to wait for its effect."""

    factor: float
    limit: float
    wait: int


BOUNDS = {
    "lr": Bound(0.5, 1 / 16, 1),
    "weight_decay": Bound(2.0, 16.0, 2),
    "dropout": Bound(0.1, 0.4, 2),  # is added, before the head
    "batch": Bound(2.0, 8.0, 2),
    "reversal": Bound(0.5, 1 / 16, 1),
    "added": Bound(0.5, 1 / 16, 0),
}


@dataclass
class Levels:
    """Hold the levels in force, as factors on the recipe's values."""

    lr: float = 1.0
    weight_decay: float = 1.0
    dropout: float = 0.0  # a probability, not a factor
    batch: float = 1.0  # micro-batches of an update
    reversal: float = 1.0
    added: float = 1.0


@dataclass(frozen=True)
class Adjustment:
    """Record an adjustment: its update, cause, change, and whether good weights are restored."""

    step: int
    seen: str
    done: str
    restores: bool = False


def rising(history: History) -> str | None:
    """Report a validation loss that stays above its best."""
    *before, now = [seen["validation_loss"] for seen in history if "validation_loss" in seen] or [0.0]
    if not before or now <= RISE * min(before) + SLACK or now < FALLING * before[-1]:
        return None
    return f"the validation loss has risen ({min(before):.3f} → {now:.3f})"


def wrecked(history: History) -> str | None:
    """Report a validation loss that is worse than before the phase. It also has to be worse than guessing."""
    now = history[-1]
    if "validation_loss" not in now or "validation_loss" not in history[0]:
        return None
    if now["validation_loss"] <= WRECK * max(history[0]["validation_loss"], now["chance_loss"]):
        return None
    return f"the validation loss is {now['validation_loss']:.3f}, and {now['chance_loss']:.3f} for guessing"


def overfitting(history: History) -> str | None:
    """Report a growing gap between the losses of held-out and training rows."""
    pairs = [(s["training_loss"], s["validation_loss"]) for s in history if "training_loss" in s]
    if len(pairs) < 2:
        return None
    (known_before, new_before), (known, new) = pairs[-2:]
    if new <= GAP * known + LEAST_GAP or new - known <= new_before - known_before:
        return None
    return f"the loss on held-out rows is {new:.3f}, on training rows {known:.3f}"


def noisy(history: History) -> str | None:
    """Report an update's loss that is mostly noise. Its mean no longer falls."""
    windows = [(seen["loss"], seen["noise"]) for seen in history if "noise" in seen]
    if len(windows) < 2:
        return None
    (before, _), (now, noise) = windows[-2:]
    if noise <= NOISE * abs(now) or abs(now) < LEAST_LOSS or now < before - (1 - STALLED) * abs(before):
        return None
    return f"the loss is noisy ({now:.3f} ± {noise:.3f} an update) and does not fall"


def dominated(history: History) -> str | None:
    """Report a critic that separates the domains twice in a row. Accuracy is not lost."""
    judged = [seen["critic_accuracy"] for seen in history if "critic_accuracy" in seen]
    if len(judged) < 2 or history[-1]["fraction"] < RAMP:
        return None
    before, now = judged[-2:]
    if min(before, now) < DOMINATES or now < before - 0.01:
        return None
    return f"the critic tells the domains apart ({now:.0%})"


def alike(seen: Mapping[str, float]) -> str:
    """Describe collapsed outputs in words that fit any task."""
    return "the outputs on the target hardly differ from row to row"


def collapsed(history: History, words: Callable[[Mapping[str, float]], str] = alike) -> str | None:
    """Report target outputs that are nearly all alike, twice in a row.

    They must not have been alike before, or not be alike on the source; otherwise nothing has been learnt yet.

    Args:
        history: the evaluations of the phase.
        words: describes the collapsed outputs.
    """
    now, last = history[-1], history[-2:]
    if not now.get("collapsed"):
        return None
    apart = len(last) == 2 and all(s.get("collapsed") and not s.get("source_collapsed", 1.0) for s in last)
    if not has_been_good(history) and not apart:
        return None
    return words(now)


def has_been_good(history: History) -> bool:
    """Return whether predictions on the target ever spread in the phase. They were not collapsed then."""
    return any(not seen.get("collapsed", 1.0) for seen in history)


class Controller:
    """Keep a phase's history, last good weights, and levels in force.

    ``watch`` measures a strategy in a phase. It returns ``validation_loss``, ``training_loss`` and ``chance_loss`` (of
    guessing) where the phase learns from labels. Where the target has none, it returns ``collapsed`` and
    ``source_collapsed`` (0 or 1) and the other numbers of the task's ``spread``. ``decays`` says whether there is a
    weight decay to multiply. ``words`` (``Task.collapsed_words``) describes collapsed outputs.
    """

    def __init__(
        self, watch: Watch, *, decays: bool = True, words: Callable[[Mapping[str, float]], str] = alike
    ) -> None:
        self.watch, self.decays, self.words = watch, decays, words
        self.levels = Levels()
        self.history: list[dict[str, float]] = []
        self.good: dict[str, Tensor] = {}
        self.good_step = 0
        self._moved: dict[str, int] = {}  # level -> length of the history when it was moved last

    def begin(self, strategy: Strategy, phase: Phase, step: int) -> None:
        """Start a phase with its own history. It keeps the levels of the one before."""
        self.history, self._moved = [], {}
        self._keep(strategy, step)
        self.history.append({"step": float(step), "fraction": 0.0, **self.watch(strategy, phase)})

    def look(
        self, strategy: Strategy, phase: Phase, window: Seen, *, step: int, fraction: float
    ) -> tuple[dict[str, float], list[Adjustment]]:
        """Measure a strategy between two updates, and decide adjustments.

        Args:
            strategy: the bare strategy.
            phase: its phase.
            window: means of the logs since the last look.
            step: updates done in the phase.
            fraction: fraction of the phase, 0..1.

        Returns:
            The measurements and the adjustments.
        """
        measured = self.watch(strategy, phase)
        if not window.get("supervised"):  # what learns from no label is not to be judged by its loss on some
            measured = {name: value for name, value in measured.items() if not name.endswith("_loss")}
        self.history.append({"step": float(step), "fraction": fraction, **window, **measured})
        if seen := wrecked(self.history):
            return measured, [self._restored(step, seen, "lr", "learning rate")]
        if seen := collapsed(self.history, self.words):
            if has_been_good(self.history):
                return measured, [self._restored(step, seen, "added", "adaptation terms")]
            # nothing better is known to go back to, but what is learnt from labels can get the upper hand
            softer = [Adjustment(step, seen, self._move("added", "adaptation terms"))] if self._may("added") else []
            return measured, softer
        if not measured.get("collapsed") and not rising(self.history):
            self._keep(strategy, step)
        return measured, [] if fraction >= 1 else self._moves(step)

    def _moves(self, step: int) -> list[Adjustment]:
        found = []
        for rule, level, name in (
            (dominated, "reversal", "reversal"),
            (rising, "lr", "learning rate"),
            (noisy, "batch", "batch"),
        ):
            if (seen := rule(self.history)) and self._may(level):
                found.append(Adjustment(step, seen, self._move(level, name)))
        if seen := overfitting(self.history):
            named = {"dropout": "dropout before the head", **({"weight_decay": "weight decay"} if self.decays else {})}
            done = [self._move(level, name) for level, name in named.items() if self._may(level)]
            found += [Adjustment(step, seen, ", ".join(done))] if done else []
        return found

    def diverged(self, step: int, seen: str) -> Adjustment | None:
        """Restore the last good weights after a loss that is not finite. The learning rate is lower.

        Returns None where the rate is at its bound.
        """
        if self._after("lr") is None:
            return None
        return self._restored(step, seen, "lr", "learning rate")

    def _restored(self, step: int, seen: str, level: str, name: str) -> Adjustment:
        """Restore the weights alone, at the bound of a level."""
        done = f"back to the weights of update {self.good_step}"
        if self._after(level) is not None:
            done = f"{done}, {self._move(level, name)}"
        return Adjustment(step, seen, done, restores=True)

    def _after(self, level: str) -> float | None:
        """Return the next value of a level; None if that is out of bounds."""
        bound, now = BOUNDS[level], float(getattr(self.levels, level))
        after = now + bound.factor if level == "dropout" else now * bound.factor
        down = after < now
        return after if (after >= bound.limit if down else after <= bound.limit + 1e-9) else None

    def _may(self, level: str) -> bool:
        wait = BOUNDS[level].wait
        rested = len(self.history) - self._moved.get(level, -wait - 1) > wait
        return rested and self._after(level) is not None

    def _move(self, level: str, name: str) -> str:
        """Move a level, and describe the move; repeated moves add the resulting level."""
        now, after = getattr(self.levels, level), self._after(level)
        assert after is not None
        setattr(self.levels, level, after)
        self._moved[level] = len(self.history)
        if level == "dropout":
            return f"{name} {after:.1f}"
        return f"{name} × {BOUNDS[level].factor:g}" + ("" if now == 1 else f" ({after:g} in all)")

    def _keep(self, strategy: Strategy, step: int) -> None:
        self.good = {name: value.detach().cpu().clone() for name, value in strategy.state_dict().items()}
        self.good_step = step

    def state(self) -> dict[str, Any]:
        """Return plain values and tensors, for a checkpoint."""
        return {
            "levels": asdict(self.levels),
            "history": self.history,
            "good": self.good,
            "good_step": self.good_step,
            "moved": self._moved,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from the result of ``state``."""
        self.levels = Levels(**state["levels"])
        self.history, self._moved = list(state["history"]), dict(state["moved"])
        self.good, self.good_step = state["good"], state["good_step"]
