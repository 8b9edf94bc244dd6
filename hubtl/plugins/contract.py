"""Check that a loaded plugin is of its group's type."""

import inspect
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any

from pydantic import BaseModel

# The base class of each kind, by where it is: this is below them.
BASES = {
    "strategies": "hubtl.strategy:Strategy",
    "modalities": "hubtl.modalities.base:Modality",
    "tasks": "hubtl.tasks:Task",
    "tuners": "hubtl.tuners:Tuner",
    "validators": "hubtl.judging.validators:Validator",
    "testtime": "hubtl.testtime.base:TestTime",
}
LOADER = "hubtl.backbones.loader:Loader"  # of a class that loads backbones; a function may, too
SETTINGS = ("adaptation", "transfer", "source-free", "sequential")
RELATIONS = ("closed", "partial", "open", "open-partial", "unknown")
NEEDS = ("features", "probabilities", "sites", "rows")
NAMES = {"settings": SETTINGS, "needs": NEEDS}  # tuples of these names
MAPPINGS = ("defaults", "ablations", "suits")
SWITCHES = ("trains_backbone", "moves_features", "unknown")
MOVED = {  # what a strategy of hubtl 0.1 declares: of which type, and where it is now
    "improves": (tuple | list, "judging = Judging(improves=(…))"),
    "forgets_source": (bool, "judging = Judging(forgets_source=…)"),
    "calibrated": (bool, "judging = Judging(calibrated=…)"),
    "label_sets": (tuple | list, 'suits = {"closed": {}, …}'),
    "label_set_options": (Mapping, 'suits = {"partial": {OPTION: VALUE}, …}'),
    "views": (tuple | list, 'of a phase: Phase(…, {"source": (), "target": ("weak", …)}, …)'),
    "source_views": (tuple | list, 'of a phase: Phase(…, {"source": ("weak",), "target": ()}, …)'),
    "critics": (tuple | list, "nothing: critics are found by self.reverse(…) and hubtl.modules.Critic"),
}


def base(kind: str) -> type:
    """Import and return the base class of a kind."""
    module, _, name = (LOADER if kind == "backbones" else BASES[kind]).partition(":")
    found: type = getattr(import_module(module), name)
    return found


def kind_of(cls: type) -> str | None:
    """Return the kind of a class by its base class; None: it is no plugin."""
    return next((kind for kind in (*BASES, "backbones") if issubclass(cls, base(kind))), None)


def lacking(kind: str, cls: type) -> list[str]:
    """Return what a class has to define and does not."""
    left = sorted(getattr(cls, "__abstractmethods__", ()))
    own: Any = base("strategies") if kind == "strategies" else None
    if own is not None and all(getattr(cls, name) is getattr(own, name) for name in ("step", "phases")):
        left.append("step")  # which is not abstract, for a class with phases of its own has none
    return left


def problem(kind: str, thing: Any) -> str | None:
    """Return why something is no plugin of a kind, or None."""
    if kind not in BASES:
        return _of_loader(thing) if kind == "backbones" else None if callable(thing) else f"it is {_what(thing)}"
    wanted = f"not a subclass of {BASES[kind].replace(':', '.')}"
    if not isinstance(thing, type):
        return f"it is {_what(thing)}, {wanted}"
    if not issubclass(thing, base(kind)):
        return f"it is the class {thing.__qualname__}, {wanted}"
    if left := lacking(kind, thing):
        return f"it does not define {', '.join(left)}"
    if odd := _odd_class(kind, thing):
        return odd
    return {"strategies": _of_strategy, "validators": _of_validator}.get(kind, lambda _: None)(thing)


def _odd_class(kind: str, thing: Any) -> str | None:
    """Return the fault in the declarations that every class may have."""
    for name in ("__doc__", "paper"):
        if not isinstance(getattr(thing, name, None), str | None):
            return f"its {name} is {_what(getattr(thing, name))}, not a text"
    if hasattr(base(kind), "needs") and kind != "strategies" and (odd := _odd_names("needs", thing.needs, NEEDS)):
        return odd
    return _odd_options(thing) if hasattr(base(kind), "Options") or hasattr(thing, "Options") else None


def _odd_options(thing: Any) -> str | None:
    options = getattr(thing, "Options", None)
    if not (isinstance(options, type) and issubclass(options, BaseModel)):
        return f"its Options is {_what(options)}, not a pydantic model"
    try:
        options.model_rebuild()  # with a type that is not there it could be shown, and never made
    except Exception as error:  # noqa: BLE001  (NameError, or pydantic's own)
        return f"its Options cannot be made: {' '.join(str(error).split())[:200]}"
    return None


def _of_loader(thing: Any) -> str | None:
    if isinstance(thing, type) and (left := lacking("backbones", thing)):
        return f"it does not define {', '.join(left)}"
    if isinstance(thing, type) and not issubclass(thing, base("backbones")):
        return f"it is the class {thing.__qualname__}, not a subclass of {LOADER.replace(':', '.')}"
    if not callable(thing) or inspect.ismodule(thing):
        return f"it is {_what(thing)}, not a loader of a name and a request"
    if getattr(thing, "Options", None) is not None and (odd := _odd_options(thing)):
        return odd
    return None if isinstance(getattr(thing, "training", {}), Mapping) else "its training is no mapping"


def _of_strategy(thing: Any) -> str | None:
    if old := [name for name, (kind, _) in MOVED.items() if isinstance(getattr(thing, name, None), kind)]:
        places = "; ".join(f"{name} is now {MOVED[name][1]}" for name in old)
        return f"it is written for hubtl 0.1: {places} (docs/plugins.md, From 0.1 to 0.2)"
    for name, known in NAMES.items():
        if odd := _odd_names(name, getattr(thing, name), known):
            return odd
    if odd := _odd_judging(thing.judging):
        return odd
    if not thing.settings:
        return "its settings are empty"
    for name in MAPPINGS:
        if not isinstance(getattr(thing, name), Mapping):
            return f"its {name} is {_what(getattr(thing, name))}, not a mapping"
    if any(not isinstance(own, Mapping) for own in thing.ablations.values()):
        return f"its ablations are {thing.ablations!r}, not a mapping of parts to options"
    if odd := _odd_names("suits", tuple(thing.suits), RELATIONS):
        return odd
    if any(not isinstance(own, Mapping) for own in thing.suits.values()):
        return f"its suits are {thing.suits!r}, not a mapping of relations to options"
    for name in SWITCHES:
        if not isinstance(getattr(thing, name), bool):
            return f"its {name} is {_what(getattr(thing, name))}, neither True nor False"
    return None


def _odd_names(name: str, value: Any, known: tuple[str, ...]) -> str | None:
    if not isinstance(value, tuple | list) or not all(isinstance(item, str) for item in value):
        return f"its {name} is {value!r}, not a tuple of names"
    odd = sorted(set(value) - set(known))
    return f"its {name} names {odd[0]!r}, none of {', '.join(known)}" if odd else None


def _odd_judging(value: Any) -> str | None:
    if not isinstance(value, import_module("hubtl.strategy").Judging):
        return f"its judging is {_what(value)}, not a hubtl.Judging"
    if isinstance(value.improves, str) or not all(isinstance(name, str) for name in value.improves):
        return f"its judging improves {value.improves!r}, not names of validators"
    for name in ("forgets_source", "calibrated"):
        if not isinstance(getattr(value, name), bool):
            return f"its judging has {_what(getattr(value, name))} for {name}, neither True nor False"
    return None


def _of_validator(thing: Any) -> str | None:
    from dataclasses import fields

    known = {field.name for field in fields(import_module("hubtl.judging.validators").Evidence)}
    if not isinstance(thing.reads, Collection) or isinstance(thing.reads, str):
        return f"its reads is {_what(thing.reads)}, not a set of names"
    odd = sorted(str(name) for name in thing.reads if name not in known)
    return f"it reads {odd[0]!r}, which is no field of Evidence" if odd else None


def _what(thing: Any) -> str:
    if thing is None:
        return "None"
    if inspect.ismodule(thing):
        return f"the module {thing.__name__}"
    if inspect.isroutine(thing):
        return f"the function {getattr(thing, '__qualname__', '')}"
    if isinstance(thing, type):
        return f"the class {thing.__qualname__}"
    name = type(thing).__qualname__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
