"""What is registered as a plugin is of the type that its group asks for: said when it is loaded, before it is used."""

import inspect
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any

from pydantic import BaseModel

# The base class of each kind, by where it is: this is below them.
BASES = {
    "strategies": "hubtl.strategy:Strategy",
    "tasks": "hubtl.tasks:Task",
    "tuners": "hubtl.tuners:Tuner",
    "validators": "hubtl.judging.validators:Validator",
    "testtime": "hubtl.testtime.base:TestTime",
}
SETTINGS = ("adaptation", "transfer", "source-free", "sequential")
VIEWS = ("weak", "strong")
RELATIONS = ("closed", "partial", "open", "open-partial", "unknown")
NAMES: dict[str, tuple[str, ...] | None] = {  # attributes of a strategy that are tuples of names; None: of any
    "settings": SETTINGS,
    "views": VIEWS,
    "source_views": VIEWS,
    "label_sets": RELATIONS,
    "improves": None,
    "critics": None,
}
MAPPINGS = ("defaults", "ablations", "label_set_options")
SWITCHES = ("trains_backbone", "forgets_source", "unknown", "calibrated")


def problem(kind: str, thing: Any) -> str | None:
    """Why something is no plugin of a kind; None where it is one."""
    if kind not in BASES:
        return _of_loader(thing) if kind == "backbones" else None if callable(thing) else f"it is {_what(thing)}"
    module, _, name = BASES[kind].partition(":")
    base = getattr(import_module(module), name)
    wanted = f"not a subclass of {module}.{name}"
    if not isinstance(thing, type):
        return f"it is {_what(thing)}, {wanted}"
    if not issubclass(thing, base):
        return f"it is the class {thing.__qualname__}, {wanted}"
    if left := sorted(getattr(thing, "__abstractmethods__", ())):
        return f"it does not define {', '.join(left)}"
    if hasattr(base, "Options") and (odd := _odd_options(thing)):
        return odd
    return {"strategies": _of_strategy, "validators": _of_validator}.get(kind, lambda _: None)(thing)


def _odd_options(thing: Any) -> str | None:
    options = getattr(thing, "Options", None)
    if isinstance(options, type) and issubclass(options, BaseModel):
        return None
    return f"its Options is {_what(options)}, not a pydantic model"


def _of_loader(thing: Any) -> str | None:
    if not callable(thing) or inspect.ismodule(thing):
        return f"it is {_what(thing)}, not a function of a name and a request"
    if getattr(thing, "Options", None) is not None and (odd := _odd_options(thing)):
        return odd
    return None if isinstance(getattr(thing, "training", {}), Mapping) else "its training is no mapping"


def _of_strategy(thing: Any) -> str | None:
    for name, known in NAMES.items():
        value = getattr(thing, name)
        if not isinstance(value, tuple | list) or not all(isinstance(item, str) for item in value):
            return f"its {name} is {value!r}, not a tuple of names"
        if known is not None and (odd := sorted(set(value) - set(known))):
            return f"its {name} names {odd[0]!r}, none of {', '.join(known)}"
    if not thing.settings:
        return "its settings are empty"
    for name in MAPPINGS:
        if not isinstance(getattr(thing, name), Mapping):
            return f"its {name} is {_what(getattr(thing, name))}, not a mapping"
    for name in SWITCHES:
        if not isinstance(getattr(thing, name), bool):
            return f"its {name} is {_what(getattr(thing, name))}, neither True nor False"
    return None if isinstance(thing.paper, str | None) else f"its paper is {_what(thing.paper)}, not a text"


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
