"""Record labels of single rows, and their evidence on two models."""

from typing import Literal

from pydantic import Field

from hubtl.record.facts import Facts


class Asked(Facts):
    """Record a row that a person labelled or skipped."""

    row: int  # its number in the data as they were opened
    label: str | None = None  # as the task writes it; None: skipped
    found: Literal["win", "loss", "neither"] | None = None  # a win: adapted is nearer to the label


class Verified(Facts):
    """Record whether adapted or source-only is better, by labels. The two disagree on the labelled rows."""

    answer: Literal["adapted", "source-only", "undecided"]
    wins: int = 0
    losses: int = 0
    neither: int = 0
    probability: float  # that a win is likelier than a loss
    evidence: float | None = None  # the e-value for the answer, where it decided
    gain: tuple[float, float, float] | None = None  # share of all rows: low, middle, high of a 90 % interval
    disagreement: float  # share of the target's training rows on which the two differ
    disagreeing: int  # and how many they are
    prior: str = "helps"
    certain: float | None = None  # the share of wrong answers that was allowed; None: the posterior decided
    most: int = 50
    seed: int = 0
    before: Literal["adapted", "source-only"] | None = None  # what the run shipped before any label
    rows: list[Asked] = Field(default_factory=list)  # in the order in which they were asked for

    @property
    def n(self) -> int:
        """Return the number of labelled rows."""
        return self.wins + self.losses + self.neither

    @property
    def sure(self) -> float:
        """Return the probability of the answer; without an answer, that of the more probable one."""
        return self.probability if self.answer == "adapted" else 1 - self.probability

    @property
    def brief(self) -> str:
        """Summarise the answer: ``adapted better, 97 %``."""
        if self.answer == "undecided":
            return f"undecided, adapted better with {100 * self.probability:.0f} %"
        how = f"at most {self.certain:g} wrong" if self.certain is not None else f"{min(100 * self.sure, 99.9):.3g} %"
        return f"{self.answer} better, {how}"
