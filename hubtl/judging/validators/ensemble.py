"""Combine many weak validators, one vote each, behind guard rails. No vote overrules a guard rail."""

from collections.abc import Sequence
from typing import ClassVar

from scipy.stats import rankdata

from hubtl.errors import HubtlError
from hubtl.judging.validators import Evidence, Scores, Validator, measured, rule_of


class Ensemble(Validator):
    """Rank checkpoints by several validators, and take the mean rank.

    Ranks need no common scale, and a validator that a method trains on directly has one vote like the others. A
    validator whose evidence is missing does not vote: one that reads a source where there is none, for example.
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
    needs = ("features",)  # a member that needs more is left to the tasks that have it
    lenient = True
    comparable = False

    def score(self, evidence: Evidence) -> float:
        raise HubtlError("an ensemble ranks checkpoints and gives one alone no score", hint="--validator infomax")

    def scores(self, evidence: Evidence) -> Scores:
        found = {}
        for name in self.members if evidence.task is None else evidence.task.voters:
            member = rule_of(name)
            if member.suffices(evidence) and (score := measured(member, evidence)) is not None:
                found[name] = score
        if not found:
            raise HubtlError("there is no evidence that a member of the ensemble reads", hint="--validator last")
        return found

    def merits(self, judged: Sequence[Scores]) -> list[float]:
        named = [name for name in judged[0] if all(name in scores for scores in judged)]
        ranks = [rankdata([scores[name] for scores in judged]) for name in named] or [[1.0] * len(judged)]
        return [float(sum(column) / len(ranks)) for column in zip(*ranks, strict=True)]
