"""The suite of each kind of plugin."""

from collections.abc import Callable
from typing import Any

from hubtl.plugins import contract
from hubtl.testing.kinds.backbones import LoaderSuite
from hubtl.testing.kinds.modalities import ModalitySuite
from hubtl.testing.kinds.suite import Check, Suite
from hubtl.testing.kinds.tasks import TaskSuite
from hubtl.testing.kinds.testtime import TestTimeSuite
from hubtl.testing.kinds.tuners import TunerSuite
from hubtl.testing.kinds.validators import ValidatorSuite
from hubtl.testing.ranks import check_ranks
from hubtl.testing.suite import Conformance

SUITES: dict[str, Callable[..., Suite]] = {
    suite.kind: suite
    for suite in (Conformance, TunerSuite, ValidatorSuite, TestTimeSuite, LoaderSuite, TaskSuite, ModalitySuite)
}

__all__ = ["SUITES", "Check", "Suite", "check", "kind_of", "suite_of"]


def suite_of(thing: Any, **given: Any) -> Suite:
    """Return the suite of a plugin's kind.

    Keywords are those of the suite: of a strategy ``setting``, of a loader or a modality ``model``, of a task or a modality
    ``dataset``, and options. Raises AssertionError for what is no plugin.
    """
    kind = kind_of(thing)
    if kind is None:
        raise AssertionError(f"{getattr(thing, '__name__', thing)} is no plugin: it has the base class of none")
    made: Suite = SUITES[kind](thing, **given)
    return made


def kind_of(thing: Any) -> str | None:
    """Return the kind of plugin that something is by its base class; a function that takes a name and a request loads."""
    if isinstance(thing, type):
        return contract.kind_of(thing)
    return "backbones" if contract.problem("backbones", thing) is None else None


def check(thing: Any, *, processes: int = 1, **given: Any) -> None:
    """Run the suite of a plugin's kind.

    Args:
        thing: a strategy, tuner, validator, task, test-time method or modality, or a loader of backbones.
        processes: 2 also trains a strategy in two real processes (see ``check_ranks``), which takes some seconds.
        **given: of a strategy ``setting``, of a loader or a modality ``model``, of a task or a modality ``dataset``; and
            options of the plugin, of a modality those of the model.

    Raises AssertionError with what is amiss, HubtlError where hubtl refuses the plugin.
    """
    suite = suite_of(thing, **given)
    suite.judge()
    if processes > 1 and isinstance(suite, Conformance):
        check_ranks([suite.world], processes=processes)
