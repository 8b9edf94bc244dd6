"""The door by which strategies, backbones, tasks, tuners, validators and test-time methods come in: Python entry points.

Built-ins are registered in hubtl's own ``pyproject.toml`` in the same groups as anyone else's. Listing imports nothing;
a plugin is imported when it is asked for by name, and one that cannot be imported breaks only itself.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from hubtl.errors import HubtlError, unknown
from hubtl.plugins import contract

KINDS = ("strategies", "backbones", "tasks", "tuners", "validators", "testtime")
SINGULAR = {kind: kind[:-1] for kind in KINDS} | {"strategies": "strategy", "testtime": "test-time method"}


@dataclass(frozen=True)
class Entry:
    """A registered name, not yet imported."""

    kind: str
    name: str
    package: str
    version: str
    _point: Any = field(repr=False)  # what has load()

    @property
    def builtin(self) -> bool:
        return self.package == "hubtl"

    def load(self) -> Any:
        """Import and return the object. Raises HubtlError naming the package that failed, or registers something else.

        Whatever an import raises is a failure of its package alone, ``sys.exit`` too; Ctrl-C is not.
        """
        hint = f"pip install --upgrade {self.package}, or remove it: pip uninstall {self.package}"
        try:
            with contextlib.redirect_stdout(sys.stderr):  # stdout has what a command found, and nothing else
                found = self._point.load()
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except HubtlError as error:
            if self.builtin or isinstance(self._point, _Sum):
                raise
            raise HubtlError(f"{self} does not load: {error}", hint=error.hint or hint) from error
        except BaseException as error:
            first = " ".join(str(error).split())[:200]
            raise HubtlError(f"{self} does not load: {type(error).__name__}: {first}", hint=hint) from error
        if wrong := contract.problem(self.kind, found):
            raise HubtlError(f"{self} is no {SINGULAR[self.kind]}: {wrong}", hint=hint)
        return found

    def __str__(self) -> str:
        return f"{SINGULAR[self.kind]} {self.name!r} of {self.package} {self.version}"

    @property
    def value(self) -> str:
        """Where it is: ``module:name``."""
        return str(getattr(self._point, "value", ""))


@cache
def entries(kind: str) -> dict[str, Entry]:
    """Every registered name of a kind, sorted; a built-in wins over a plugin of the same name.

    Where names clash, the first package by name wins, and each plugin's entry can be asked for as ``package:name``.
    ``HUBTL_PLUGINS`` restricts the packages whose plugins are seen (comma-separated; empty: built-ins only).
    """
    setting = os.environ.get("HUBTL_PLUGINS")
    allowed = None if setting is None else {_normal(package) for package in setting.split(",")}
    names: dict[str, Entry] = {}
    for entry in sorted(_entries(kind, entry_points(group=f"hubtl.{kind}")), key=lambda e: (not e.builtin, e.package)):
        if not entry.builtin and allowed is not None and _normal(entry.package) not in allowed:
            continue
        first = names.setdefault(entry.name, entry)
        if first.package != entry.package:
            names |= {f"{e.package}:{e.name}": e for e in (first, entry) if not e.builtin}
    return dict(sorted(names.items()))


@dataclass(frozen=True)
class _Sum:
    """The parts of ``a+b``, in place of an entry point: loading it hands them to what the kind has for combining."""

    kind: str
    name: str
    parts: tuple[Entry, ...]

    def load(self) -> Any:
        return _combiner(self.kind).load()(self.name, [part.load() for part in self.parts])


def find(kind: str, name: str) -> Entry:
    """The entry of that name; of ``a+b`` where the kind can be combined. Raises HubtlError with the nearest name."""
    known = entries(kind)
    if name not in known and "+" in name and _combiner(kind) is not None:
        return _combined(kind, name)
    if name not in known:
        raise unknown(SINGULAR[kind], name, known)
    return known[name]


def load(kind: str, name: str) -> Any:
    """Import the object that is registered under a name."""
    return find(kind, name).load()


@cache
def _combined(kind: str, name: str) -> Entry:
    parts = tuple(find(kind, part) for part in name.split("+"))
    stranger = next((part for part in parts if not part.builtin), parts[0])
    return Entry(kind, name, stranger.package, stranger.version, _Sum(kind, name, parts))


def _combiner(kind: str) -> Any:
    """What makes one of several of a kind: hubtl's own where it has one."""
    found = _entries(kind, entry_points(group="hubtl.combiners", name=kind))
    return min(found, key=lambda e: (not e.builtin, e.package))._point if found else None


def _normal(package: str) -> str:
    """A package's name as installers compare it: ``My_Package`` is ``my-package``."""
    return re.sub(r"[-_.]+", "-", package.strip()).lower()


def _entries(kind: str, points: Iterable[EntryPoint]) -> list[Entry]:
    """Entry points with the name and version of their package, whose metadata is read once for all of its points."""
    packages: dict[int, tuple[str, str]] = {}
    found = []
    for point in points:
        if id(point.dist) not in packages:
            packages[id(point.dist)] = _package(point)
        found.append(Entry(kind, point.name, *packages[id(point.dist)], point))
    return found


def _package(point: EntryPoint) -> tuple[str, str]:
    package, version = "unknown", "0"
    with contextlib.suppress(Exception):  # its metadata may be damaged: nobody's mistake but its own
        metadata: Any = point.dist.metadata if point.dist else {}
        package, version = str(metadata.get("Name") or package), str(metadata.get("Version") or version)
    return package, version
