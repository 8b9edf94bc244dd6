"""Register the classes of a Python file by name for this process: one-file plugins."""

import contextlib
import hashlib
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.plugins import contract

LARGEST = 2**20  # bytes
LOADER = "load"  # what a file calls the function that loads its backbones
HOW = (
    "a subclass of hubtl.Strategy, Task, Tuner, Validator or testtime.TestTime, of hubtl.backbones.loader.Loader or "
    "hubtl.modalities.base.Modality, or a function load(name, request)"
)


@dataclass(frozen=True)
class _Held:
    """Hold an object of a file, in place of an entry point."""

    value: str
    thing: Any
    path: str  # as the user gave it

    def load(self) -> Any:
        return self.thing


def add_plugin(path: str | Path) -> list[plugins.Entry]:
    """Run a Python file and register its classes by name. It holds for this process.

    A class is called by its attribute ``name``, else by its own name in small letters: ``LinearMMD`` is ``linear-mmd``. A
    function ``load(name, request)`` loads backbones, and is called as the file is. Names that begin with ``_``, what the
    file imports, and abstract classes that others of the file are made of are left out. A file that was added before is
    replaced by what it holds now.

    Returns the entries. Raises HubtlError for a file that cannot be read or run, that holds no plugin, and for a name that
    hubtl or another file has already.
    """
    file = Path(path).expanduser()
    source = _read(file)
    digest = hashlib.sha256(source).hexdigest()
    module = _run(file, source, digest)
    found = [
        plugins.Entry(
            kind, name, file.name, f"sha256:{digest[:12]}", _Held(f"{module.__name__}:{own}", thing, str(path)), digest
        )
        for kind, name, own, thing in _things(module, file)
    ]
    if not found:
        raise HubtlError(f"{file} holds no plugin", hint=HOW)
    _check_names(found, file)
    plugins.register(found)
    return found


def _read(file: Path) -> bytes:
    if file.suffix != ".py":
        raise HubtlError(f"--plugin {file} is no Python file", hint="--plugin FILE.py; packages are installed with pip")
    try:
        with file.open("rb") as opened:
            source = opened.read(LARGEST + 1)
    except OSError as error:
        raise HubtlError(f"--plugin {file} cannot be read: {error.strerror}", hint="give the path of a file") from error
    if len(source) > LARGEST:
        raise HubtlError(
            f"--plugin {file} has more than {LARGEST:,} bytes", hint="make a package of it: hubtl plugin new"
        )
    return source


def _run(file: Path, source: bytes, digest: str) -> ModuleType:
    """Run a file as a module, never from a cache. It is compiled from the bytes whose digest is recorded."""
    name = f"plugin_file_{re.sub(r'[^0-9A-Za-z]', '_', file.stem)}_{digest[:12]}"
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # where dataclasses, pydantic and pickle look a class up
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout has what a command found, and nothing else
            exec(compile(source, str(file), "exec", dont_inherit=True), module.__dict__)
    except (KeyboardInterrupt, GeneratorExit):
        del sys.modules[name]
        raise
    except BaseException as error:
        del sys.modules[name]
        first = " ".join(str(error).split())[:200]
        hint = getattr(error, "hint", None) if isinstance(error, HubtlError) else None
        called = "" if isinstance(error, HubtlError) else f"{type(error).__name__}: "
        raise HubtlError(
            f"--plugin {file} does not load: {called}{first}", hint=hint or f"mend it: python {file} shows where"
        ) from error
    return module


def _things(module: ModuleType, file: Path) -> Iterable[tuple[str, str, str, Any]]:
    """Yield everything that a file defines itself. Each has kind, name, own name and object."""
    defined = {
        own: thing for own, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__
    }
    types = {thing for thing in defined.values() if isinstance(thing, type)}
    for own, thing in defined.items():
        if own.startswith("_"):
            continue
        if isinstance(thing, type):
            kind = contract.kind_of(thing)
            # one that lacks a method, and that no other is made of, says so where it is used
            base = any(issubclass(other, thing) for other in types - {thing})
            if kind is not None and not (base and contract.lacking(kind, thing)):
                yield kind, _called(thing), own, thing
        elif own == LOADER and callable(thing):
            yield "backbones", kebab(file.stem), own, thing


def _called(cls: type) -> str:
    name = vars(cls).get("name")
    return name if isinstance(name, str) and name else kebab(cls.__name__)


def kebab(name: str) -> str:
    """Return ``linear-mmd`` for ``LinearMMD`` and ``linear_mmd``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+", "-", name).strip("-").lower()


def _check_names(found: list[plugins.Entry], file: Path) -> None:
    seen: dict[tuple[str, str], plugins.Entry] = {}
    for entry in found:
        kind = plugins.SINGULAR[entry.kind]
        if not re.fullmatch(r"\w[\w.-]*", entry.name):
            raise HubtlError(f"{file} calls a {kind} {entry.name!r}, which cannot be typed", hint='name = "my-method"')
        if (other := seen.setdefault((entry.kind, entry.name), entry)) is not entry:
            raise HubtlError(
                f"{file} has two {plugins.PLURAL[entry.kind]} called {entry.name!r}: {other.value.split(':')[1]} and "
                f"{entry.value.split(':')[1]}",
                hint='name = "…" in one of them',
            )
        there = plugins.entries(entry.kind).get(entry.name)
        if there is not None and there.builtin:
            raise HubtlError(
                f"{file} has a {kind} called {entry.name!r}, and hubtl has one of that name",
                hint=f'name = "my-{entry.name}"',
            )
        if there is not None and there.sha256 and there.package != entry.package:
            raise HubtlError(
                f"{file} and {there.package} both have a {kind} called {entry.name!r}", hint='name = "…" in one'
            )
