"""Check any plugin by the conformance suite of its kind: ``check(MyStrategy)`` in a test."""

from hubtl.testing.kinds import check
from hubtl.testing.ranks import check_ranks
from hubtl.testing.suite import Conformance
from hubtl.testing.toy import ToyBackbone, ToyRows, toy_domain, toy_strategy, toy_train

__all__ = [
    "Conformance",
    "ToyBackbone",
    "ToyRows",
    "check",
    "check_ranks",
    "toy_domain",
    "toy_strategy",
    "toy_train",
]
