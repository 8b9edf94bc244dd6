"""Record how several models became one, and one recipe with several seeds."""

from typing import Literal

from pydantic import Field

from hubtl.record.facts import Facts
from hubtl.record.figures import Evaluation


class MemberFacts(Facts):
    """Record one of several models, averaged or reported side by side."""

    strategy: str
    seed: int
    model: str
    figures: Evaluation  # slim: on the target's evaluation rows
    source_only: Evaluation | None = None  # of the same seed and backbone; None: that of the run
    steps: int = 0
    seconds: float = 0.0


class EnsembleFacts(Facts):
    """Record how several models became the one that is shipped."""

    how: Literal["linear", "weights", "distilled"]  # heads averaged, weights averaged, a student
    hedge: float = 1.0  # the adapted models' share in the average; the rest is source-only's
    members: list[MemberFacts] = Field(default_factory=list)
    figures: Evaluation | None = None  # slim: of the average of outputs itself, where what is shipped only resembles it
    closeness: float | None = None  # share of the target's training rows to which it answers as that average does
    agreement: float | None = None  # of two adapted members, mean over all pairs, on the target's training rows
    across: float | None = None  # the same, of members on different backbones
    across_source_only: float | None = None  # of the source-only models on different backbones
    rows: int = 0  # that agreement was measured on
    steps: int = 0  # updates of the student; 0: no student, or one head that was fitted at once
