"""Many weak judges, one vote each, behind guard rails that no vote can open."""

from collections.abc import Sequence
from typing import ClassVar

from scipy.stats import rankdata

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.validators import Evidence, Scores, Validator


class Ensemble(Validator):
    """Agreement of validators: the mean rank that they give a checkpoint among all that were judged.

    Ranks need no common scale, and a validator that a method trains on directly has one vote like the others. A
    validator that the evidence does not suffice for, such as one that reads a source where there is none, does not
    vote.
    """

    members: ClassVar[tuple[str, ...]] = ("infomax", "bnm", "snd", "ami", "mixval", "dev", "reverse")

    reads = frozenset(
        {
            "source_logits",
            "source_labels",
            "source_features",
            "target_logits",
            "target_features",
            "target_mixed_logits",
        }
    )
    lenient = True

    def score(self, evidence: Evidence) -> float:
        raise HubtlError("an ensemble ranks checkpoints and gives one alone no score", hint="--validator infomax")

    def scores(self, evidence: Evidence) -> Scores:
        found = {}
        for name in self.members:
            member: Validator = plugins.load("validators", name)()
            if member.suffices(evidence):
                found[name] = member.score(evidence)
        if not found:
            raise HubtlError("there is no evidence that a member of the ensemble reads", hint="--validator last")
        return found

    def merits(self, judged: Sequence[Scores]) -> list[float]:
        ranks = [rankdata([scores[name] for scores in judged]) for name in judged[0]]
        return [float(sum(column) / len(ranks)) for column in zip(*ranks, strict=True)]
