"""The suite of each kind of plugin."""

from collections.abc import Callable
from typing import Any

from hubtl.errors import HubtlError
from hubtl.plugins import contract
from hubtl.testing.kinds.backbones import LoaderSuite
from hubtl.testing.kinds.suite import Check, Suite
from hubtl.testing.kinds.tasks import TaskSuite
from hubtl.testing.kinds.testtime import TestTimeSuite
from hubtl.testing.kinds.tuners import TunerSuite
from hubtl.testing.kinds.validators import ValidatorSuite
from hubtl.testing.ranks import check_ranks
from hubtl.testing.suite import Conformance

SUITES: dict[str, Callable[..., Suite]] = {
    suite.kind: suite for suite in (Conformance, TunerSuite, ValidatorSuite, TestTimeSuite, LoaderSuite, TaskSuite)
}

__all__ = ["SUITES", "Check", "Suite", "check", "kind_of", "suite_of"]


def suite_of(thing: Any, **given: Any) -> Suite:
    """Return the suite of a plugin's kind.

    Kinds are strategy, tuner, validator, task, test-time method and backbone loader.

    Keywords are those of the suite: of a strategy ``setting``, of a loader ``model``, of a task ``dataset``, and options.
    Raises AssertionError for what is none of them, HubtlError for a modality, which has no suite.
    """
    kind = kind_of(thing)
    if kind is None:
        raise AssertionError(f"{getattr(thing, '__name__', thing)} is no plugin: it has the base class of none")
    if kind not in SUITES:
        raise HubtlError(f"hubtl has no suite for {kind} yet", hint="docs/plugins.md says what they have to do")
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
        thing: a strategy, tuner, validator, task or test-time method, or a loader of backbones.
        processes: 2 also trains a strategy in two real processes (see ``check_ranks``), which takes some seconds.
        **given: of a strategy ``setting``, of a loader ``model``, of a task ``dataset``; and options of the plugin.

    Raises AssertionError with what is amiss, HubtlError where hubtl refuses the plugin.
    """
    suite = suite_of(thing, **given)
    suite.judge()
    if processes > 1 and isinstance(suite, Conformance):
        check_ranks([suite.world], processes=processes)
