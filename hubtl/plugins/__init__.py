"""Load strategies, backbones, modalities, tasks, tuners and other plugins: Python entry points.

Built-ins are registered in hubtl's own ``pyproject.toml`` in the same groups as third-party ones. Listing imports
nothing. A plugin is imported when it is asked for by name, and one that cannot be imported breaks only itself.
"""

import contextlib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import EntryPoint
from typing import Any

from hubtl.errors import HubtlError, unknown
from hubtl.io.shown import typed
from hubtl.plugins import contract, installed

KINDS = ("strategies", "backbones", "modalities", "tasks", "tuners", "validators", "testtime")
SINGULAR = {kind: kind[:-1] for kind in KINDS}
SINGULAR |= {
    "strategies": "strategy",
    "modalities": "modality",
    "testtime": "test-time method",
    "combiners": "combiner",
}
PLURAL = {kind: kind for kind in KINDS} | {"testtime": "test-time methods"}


@dataclass(frozen=True)
class Entry:
    """Hold a registered name, not yet imported."""

    kind: str
    name: str
    package: str
    version: str
    _point: Any = field(repr=False)  # what has load()
    sha256: str = ""  # of the file that it is from, where that is one file and no package

    @property
    def builtin(self) -> bool:
        return self.package == "hubtl"

    @property
    def requires(self) -> str | None:
        """Return the version of hubtl that its package requires; empty: any; None: not declared."""
        return installed.wanted(self._point)

    @property
    def remedy(self) -> str:
        """Return a hint for when it fails."""
        if self.sha256:
            file = typed(getattr(self._point, "path", self.package))
            return f"mend {file}; hubtl plugin check --plugin {file} says what is amiss"
        return f"pip install --upgrade {self.package}, or remove it: pip uninstall {self.package}"

    def load(self) -> Any:
        """Import and return the object.

        Whatever an import raises is a failure of its package alone, ``sys.exit`` too; Ctrl-C is not.

        Raises:
            HubtlError: with the package that failed, or registers something else.
        """
        hint = self.remedy
        if not self.builtin and (why := installed.unfit(self._point)):
            raise HubtlError(f"{self} does not load: {why}", hint=hint)
        try:
            with contextlib.redirect_stdout(sys.stderr):  # stdout has what a command found, and nothing else
                found = self._point.load()
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except HubtlError as error:
            if self.builtin or isinstance(self._point, _Sum | _Twice):
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
        """Return its place: ``module:name``."""
        return str(getattr(self._point, "value", ""))


@cache
def entries(kind: str) -> dict[str, Entry]:
    """Return every registered name of a kind, sorted; a built-in precedes a plugin of the same name.

    Where names clash, a file's class wins over a package's, then the first package by name; each plugin's entry can be
    asked for as ``package:name``. A name that one package registers twice does not load.
    ``HUBTL_PLUGINS`` restricts the packages whose plugins are seen (comma-separated; empty: built-ins only).
    """
    found = [*_entries(kind, installed.points(f"hubtl.{kind}")), *(e for e in _registered if e.kind == kind)]
    names: dict[str, Entry] = {}
    for entry in sorted(found, key=lambda e: (not e.builtin, not e.sha256, e.package)):
        if not _allowed(entry):
            continue
        first = names.setdefault(entry.name, entry)
        if first.package != entry.package:
            names |= {f"{e.package}:{e.name}": e for e in (first, entry) if not e.builtin}
        elif first.value != entry.value:
            names[entry.name] = replace(first, _point=_Twice(first, entry))
    return dict(sorted(names.items()))


_registered: list[Entry] = []  # of files, for this process


def register(entries_: Iterable[Entry]) -> None:
    """Add entries of no installed package for this process; those of the same file are replaced."""
    new = list(entries_)
    files = {entry.package for entry in new}
    _registered[:] = [entry for entry in _registered if entry.package not in files] + new
    entries.cache_clear()
    _combined.cache_clear()


def registered() -> tuple[Entry, ...]:
    """Return the entries that files brought into this process."""
    return tuple(_registered)


def third_party() -> list[tuple[str, Entry]]:
    """Return every entry that is not built in, with its full name. Imports nothing."""
    found = []
    for kind in KINDS:
        known = entries(kind)
        short = {id(entry) for name, entry in known.items() if name == entry.name}
        found += [(name, e) for name, e in known.items() if not e.builtin and (name == e.name or id(e) not in short)]
    return found


@dataclass(frozen=True)
class _Twice:
    """Replace two entry points of one package with the same name."""

    first: Entry
    second: Entry

    @property
    def value(self) -> str:
        return self.first.value

    def load(self) -> Any:
        raise HubtlError(
            f"{self.first} does not load: the package registers the name twice, for {self.first.value} and {self.second.value}",
            hint=self.first.remedy,
        )


@dataclass(frozen=True)
class _Sum:
    """Replace an entry point by the parts of ``a+b``; loading it combines them."""

    kind: str
    name: str
    parts: tuple[Entry, ...]

    @property
    def path(self) -> str:
        return next((part._point.path for part in self.parts if part.sha256), "")

    def load(self) -> Any:
        whole = combiner(self.kind)
        assert whole is not None
        return whole.load()(self.name, [part.load() for part in self.parts])


def find(kind: str, name: str) -> Entry:
    """Return the entry of a name. ``a+b`` is one where the kind can be combined.

    Args:
        kind: the kind of plugin.
        name: the name.

    Raises:
        HubtlError: for an unknown name, with the nearest one.
    """
    known = entries(kind)
    if len(parts(kind, name)) > 1:
        return _combined(kind, name)
    if name not in known:
        from hubtl.plugins.index import package_of

        package = package_of(kind, name)
        hint = None if package is None else f"pip install {package}, which brings it"
        raise unknown(SINGULAR[kind], name, known, hint=hint, listing=f"hubtl list {kind}")
    return known[name]


def load(kind: str, name: str) -> Any:
    """Import the object that is registered under a name.

    Args:
        kind: one of ``KINDS``.
        name: the name, or ``a+b`` where the kind can be combined.

    Raises:
        HubtlError: for an unknown name, and for a plugin that cannot be loaded.
    """
    return find(kind, name).load()


@cache
def _combined(kind: str, name: str) -> Entry:
    found = tuple(find(kind, part) for part in name.split("+"))
    first = next((part for part in found if not part.builtin), found[0])
    return Entry(kind, name, first.package, first.version, _Sum(kind, name, found), first.sha256)


def combiner(kind: str) -> Entry | None:
    """Return what makes one of several of a kind: hubtl's own where it has one; None where the kind is not combined."""
    found = _entries("combiners", installed.points("hubtl.combiners", kind))
    return min(found, key=lambda e: (not e.builtin, e.package), default=None)


def parts(kind: str, name: str) -> list[str]:
    """Return the names in ``a+b``, where the kind can be combined; else the name alone."""
    return name.split("+") if "+" in name and name not in entries(kind) and combiner(kind) is not None else [name]


def fusions() -> list[str]:
    """Return the names of the loaders that fuse several modalities. The first package's come first."""
    found = [e for e in _entries("backbones", installed.points("hubtl.fusions")) if _allowed(e)]
    return [entry.name for entry in sorted(found, key=lambda e: (not e.builtin, e.package))]


def _allowed(entry: Entry) -> bool:
    """Return whether ``HUBTL_PLUGINS`` lets an entry be seen."""
    setting = os.environ.get("HUBTL_PLUGINS")
    if entry.builtin or entry.sha256 or setting is None:
        return True
    return installed.normal(entry.package) in map(installed.normal, setting.split(","))


def _entries(kind: str, points: Iterable[EntryPoint]) -> list[Entry]:
    """Return entry points with name and version of their package.

    Its metadata is read once for all of its points.
    """
    packages: dict[int, tuple[str, str]] = {}
    found = []
    for point in points:
        if id(point.dist) not in packages:
            packages[id(point.dist)] = installed.package(point)
        found.append(Entry(kind, point.name, *packages[id(point.dist)], point))
    return found
