"""Read the entry points of installed packages: metadata that cannot be read, or ask for another hubtl, harm their package alone."""

import contextlib
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points, version
from typing import Any

NAME = re.compile(r"[\w][\w.+-]*")
PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


def points(group: str, name: str | None = None) -> list[EntryPoint]:
    """Return a group's entry points, of every readable package."""
    return [point for point in _all(group) if name is None or point.name == name]


@cache
def unreadable() -> tuple[tuple[str, str], ...]:
    """Return the packages with unreadable registrations, each with the reason. Names that cannot be typed count."""
    found = []
    for one in _unique():
        try:
            odd = [p.name for p in one.entry_points if p.group.startswith("hubtl.") and not NAME.fullmatch(p.name)]
            found += [(_name(one), f"it registers the name {name!r}, which cannot be typed") for name in odd]
        except Exception as error:  # noqa: BLE001  (whatever a damaged file makes of it)
            first = " ".join(str(error).split())[:200]
            found.append((_name(one), f"its entry_points.txt cannot be read: {type(error).__name__}: {first}"))
    return tuple(found)


def _all(group: str) -> list[EntryPoint]:
    try:
        found = list(entry_points(group=group))
    except Exception:  # noqa: BLE001  (one damaged file makes the whole list fail)
        found = [point for one in _unique() for point in _readable(one) if point.group == group]
    return [point for point in found if NAME.fullmatch(point.name)]


def _readable(one: Distribution) -> list[EntryPoint]:
    with contextlib.suppress(Exception):
        return list(one.entry_points)
    return []


def _unique() -> Iterator[Distribution]:
    """Yield every distribution once. If a package is there twice, it is the first one on the path."""
    seen = set()
    for one in distributions():
        if (name := normal(_name(one))) not in seen:
            seen.add(name)
            yield one


def _name(one: Distribution) -> str:
    with contextlib.suppress(Exception):
        if one.metadata["Name"]:
            return str(one.metadata["Name"])
    return re.sub(r"-[^-]*\.(dist|egg)-info$", "", str(getattr(getattr(one, "_path", None), "name", "unknown")))


def package(point: EntryPoint) -> tuple[str, str]:
    """Return the name and the version of an entry point's package; ``unknown`` and ``0`` where its metadata is damaged."""
    name, number = "unknown", "0"
    with contextlib.suppress(Exception):  # nobody's mistake but its own
        metadata: Any = point.dist.metadata if point.dist else {}
        name = str(metadata.get("Name") or name)
        number = str(metadata.get("Version") or number)
    return name, number


def wanted(point: Any) -> str | None:
    """Return which hubtl an entry point's package asks for, such as ``>=0.1,<0.2``; None where it names none."""
    from packaging.requirements import InvalidRequirement, Requirement

    with contextlib.suppress(InvalidRequirement, AttributeError, TypeError, ValueError, OSError):
        for line in point.dist.requires or ():
            found = Requirement(line)
            if normal(found.name) == "hubtl" and (not found.marker or found.marker.evaluate({"extra": ""})):
                return str(found.specifier)
    return None


def unfit(point: Any) -> str | None:
    """Return the hubtl that an entry point's package asks for, if another; else None."""
    from packaging.specifiers import SpecifierSet

    asked, present = wanted(point), version("hubtl")
    if not asked or SpecifierSet(asked).contains(present, prereleases=True):
        return None
    return f"it is for hubtl {asked}, and this is hubtl {present}"


def normal(name: str) -> str:
    """Return a package's name as installers compare it: ``My_Package`` is ``my-package``."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def is_package(name: object) -> bool:
    """Return whether a value can be the name of a package. It may come from a model's file."""
    return isinstance(name, str) and PACKAGE.fullmatch(name) is not None


def remedy(*packages: object, lacks: str) -> str:
    """Return the command that installs packages. Without a package's name it says what is lacking."""
    if packages and all(map(is_package, packages)):
        return f"pip install {' '.join(map(str, packages))}"
    return f"install the package that brings {lacks}; hubtl plugin list shows what is installed"
