"""Packages that are known to bring a name, installed or not: ``index.json`` lists them."""

import json
from functools import cache
from importlib.resources import files


@cache
def _known() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(files("hubtl.plugins").joinpath("index.json").read_text("utf-8"))
    return found


def package_of(kind: str, name: str) -> str | None:
    """Return the package that brings a name of a kind; None where none is known to."""
    return _known().get(kind, {}).get(name)
