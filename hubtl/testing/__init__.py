"""The conformance suite: what every strategy, built in or not, must stand. ``check(MyStrategy)`` in a test."""

from hubtl.testing.ranks import check_ranks
from hubtl.testing.suite import Conformance, check
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
