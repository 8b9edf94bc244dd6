"""Check the phases of a strategy before the first update."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import nn

from hubtl.data.viewed import VIEWS
from hubtl.modules import Classifier
from hubtl.plugins.blame import broken, minded
from hubtl.strategy import Phase, Strategy


def phases_of(strategy: Strategy) -> Iterator[Phase]:
    """Yield the phases of a strategy one by one.

    The next phase may depend on what the last one learnt.

    Raises:
        HubtlError: for an object that is not a phase, or a phase that cannot run.
    """
    with minded(strategy, "phases()"):
        found: Any = strategy.phases()
    if not isinstance(found, Iterable):
        raise broken(strategy, f"gives {type(found).__name__} for phases()", "return [Phase(…)]")
    given, number, over = iter(found), 0, object()
    while True:
        with minded(strategy, "phases()"):
            phase = next(given, over)
        if phase is over and number:
            return
        if not isinstance(phase, Phase):
            what = "no phases" if phase is over else f"{type(phase).__name__} for a phase"
            raise broken(strategy, f"gives {what}", "return [Phase(…)]")
        if odd := _odd(phase):
            raise broken(strategy, f"phase {phase.name!r}: {odd}")
        number += 1
        yield phase


def deployed_by(strategy: Strategy) -> Classifier:
    """Return ``strategy.deployed()``, checked.

    Raises:
        HubtlError: for an object that is not a classifier.
    """
    with minded(strategy, "deployed()"):
        found: Any = strategy.deployed()
    if not isinstance(found, Classifier):
        raise broken(strategy, f"deploys a {type(found).__name__}", "return Classifier(self.encoder, self.head)")
    return found


def _odd(phase: Phase) -> str | None:
    if not isinstance(phase.name, str):
        return "its name is no text"
    if not callable(phase.step):
        return f"step is a {type(phase.step).__name__}, not a function"
    if not isinstance(phase.sees, tuple | list | Mapping) or not all(isinstance(name, str) for name in phase.sees):
        return f"sees is {phase.sees!r}, not names of streams"
    for stream, views in phase.sees.items() if isinstance(phase.sees, Mapping) else ():
        if not isinstance(views, tuple | list) or any(view not in tuple(VIEWS) for view in views):
            return f"sees {views!r} of {stream}, not a tuple of views: {', '.join(VIEWS)}"
    if not phase.sees:
        return "it sees no stream"
    if not isinstance(phase.learns, Mapping):
        return f"learns is a {type(phase.learns).__name__}, not a mapping of names to modules"
    for name, learner in phase.learns.items():
        if not isinstance(name, str) or not _learns(learner):
            return f"learns has {type(learner).__name__} for {name!r}, neither a module nor parameters"
    for key, least in (("steps", 0), ("refreshes", 0)):
        value = getattr(phase, key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            return f"{key} is {value!r}"
    for key in ("share", "epochs"):
        value = getattr(phase, key)
        if not (key == "epochs" and value is None) and not (_number(value) and value > 0):
            return f"{key} is {value!r}"
    for key in ("lr", "momentum"):
        factors = getattr(phase, key)
        if not isinstance(factors, Mapping) or not all(_number(v) and v >= 0 for v in factors.values()):
            return f"{key} is {factors!r}"
    return None if phase.refresh is None or callable(phase.refresh) else "refresh is no function"


def _learns(learner: Any) -> bool:
    if isinstance(learner, nn.Module | Iterator):  # an iterator is not looked into: it would be used up
        return True
    return isinstance(learner, Iterable) and all(isinstance(p, nn.Parameter) for p in learner)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
