"""Modalities by their names, whatever package brings them: ``hubtl.modalities.base.Modality`` says what each can do."""

from functools import cache
from typing import Any

from hubtl import plugins
from hubtl.errors import HubtlError, nearest
from hubtl.plugins import installed
from hubtl.plugins.blame import minded

USUAL = "image"  # of models, records and backbones that say nothing: those of version 0.1 among them


def registered() -> list[str]:
    """Return names of all registered modalities, none of them imported."""
    return list(plugins.entries("modalities"))


def names() -> list[str]:
    """Return names of all registered modalities, in the order of their ranks."""
    return [one.name for one in every()]


def every() -> "tuple[Any, ...]":
    """Return all registered modalities that load, in the order of their ranks; ``hubtl doctor`` tells of the others."""
    return _every(tuple(plugins.entries("modalities").values()))


@cache
def _every(known: tuple[plugins.Entry, ...]) -> tuple[Any, ...]:
    found = []
    for entry in known:
        try:
            found.append(_made(entry))
        except HubtlError:
            continue
    return tuple(sorted(found, key=lambda one: (one.rank, one.name)))


@cache
def _made(entry: plugins.Entry) -> Any:
    cls = entry.load()
    with minded(cls, "its __init__"):  # one HubtlError that names it
        return cls()


def of(name: str, package: str | None = None, shown: str = "") -> Any:
    """Load a modality by its name, ready to be read.

    ``package`` is what is known to bring it, and ``shown`` what asks for it. Raises HubtlError where no installed package
    brings it, and where a package that reads it is missing.
    """
    made = known(name)
    if made is None:
        takes = f"{shown} takes the modality {name!r}" if shown else f"there is no modality {name!r}"
        which = f"it comes with {package}" if package else f"there are: {', '.join(names())}"
        guess = nearest(name, names())
        hint = guess or "install the package that registers it"
        if package:
            hint = installed.remedy(*package.split(), lacks=f"the modality {name}")
        raise HubtlError(f"{takes}, which no installed package brings; {which}", hint=hint)
    made.check()
    return made


def known(name: str) -> Any:
    """Return a modality by its name, for what it says of itself; None where no installed package brings it."""
    entry = plugins.entries("modalities").get(name)
    return None if entry is None else _made(entry)


def media() -> list[Any]:
    """Return the modalities whose cells are files. They are in the order of their ranks."""
    return [one for one in every() if one.suffixes]


def check_name(name: str) -> None:
    """Raise ValueError for a name that no installed package registers."""
    if name not in (known := registered()):
        guess = nearest(name, known)
        raise ValueError(
            f"there is no modality {name}" + (f" (nearest: {guess})" if guess else f"; known: {', '.join(known)}")
        )
