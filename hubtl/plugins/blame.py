"""Attribute errors to plugins: an error of a plugin names its package and version.

A plugin is recognised by the modules of its package, so that nothing has to be wrapped or kept.
"""

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from hubtl import plugins
from hubtl.errors import HubtlError


def owner(thing: Any) -> plugins.Entry | None:
    """Return the entry of the package that a thing comes from. The thing is a class, a function or an object.

    None for hubtl's own and for a user's.
    """
    cls = thing if isinstance(thing, type) or hasattr(thing, "__qualname__") else type(thing)
    for part in (cls, *getattr(cls, "parts", ())):  # of a+b each of the two
        module = str(getattr(part, "__module__", ""))
        own = [entry for entry in _strangers(module) if entry.value == f"{module}:{getattr(part, '__qualname__', '')}"]
        if found := own or _strangers(module):
            return found[0]
    return None


def label(thing: Any) -> str:
    """Return ``strategy 'mine' of a-package 1.2``; for hubtl's own and for a user's, its name."""
    cls = thing if isinstance(thing, type) or hasattr(thing, "__qualname__") else type(thing)
    name = str(getattr(cls, "__qualname__", cls))
    entry = owner(thing)
    if entry is None:
        return name
    return str(entry) if entry.value.endswith(f":{name}") else f"{name} of {entry.package} {entry.version}"


@contextlib.contextmanager
def minded(thing: Any = None, doing: str = "") -> Iterator[None]:
    """Turn a plugin's errors into one HubtlError with its package and version.

    ``thing`` is what is called. Without it, or where that is hubtl's own, the innermost plugin in the traceback is
    named. Errors without any plugin stay unchanged, and so do HubtlErrors and Ctrl-C.
    """
    try:
        yield
    except (HubtlError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        entry = owner(thing) if thing is not None else None
        who = label(thing) if entry is not None else ""
        if entry is None:
            entry = culprit(error.__traceback__)
        if entry is None:
            raise
        first = " ".join(str(error).split())[:200]
        raise HubtlError(
            f"{who or entry} failed{f' in {doing}' if doing else ''}: {type(error).__name__}{f': {first}' if first else ''}",
            hint=f"--debug shows where; {entry.remedy}",
        ) from error


def broken(thing: Any, what: str, hint: str = "see docs/plugins.md") -> HubtlError:
    """Return the error for a plugin that returns something invalid."""
    entry = owner(thing)
    return HubtlError(f"{label(thing)} {what}", hint=hint if entry is None else f"report it to {entry.package}; {hint}")


def culprit(trace: TracebackType | None) -> plugins.Entry | None:
    """Return the innermost plugin in a traceback."""
    found = None
    while trace is not None:
        own = _strangers(str(trace.tb_frame.f_globals.get("__name__", "")))
        found = own[0] if own else found
        trace = trace.tb_next
    return found


def _strangers(module: str) -> list[plugins.Entry]:
    """Return entries of the packages of a module, its own first; none for hubtl's."""
    top = module.partition(".")[0]
    if not top or top == "hubtl":
        return []
    every = [e for kind in plugins.KINDS for e in plugins.entries(kind).values() if not e.builtin]
    of = [e for e in every if e.value.partition(":")[0].partition(".")[0] == top]
    return sorted(of, key=lambda e: e.value.partition(":")[0] != module)
