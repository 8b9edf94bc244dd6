"""Name the classes of a mask's values, and those of its colours."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubtl.data.sites import IGNORE
from hubtl.errors import HubtlError
from hubtl.io import plain

LARGEST = 2**20  # bytes of a file of names
VOID = frozenset({"void", "ignore", "unlabelled", "unlabeled"})  # entries of a palette that mean no class
COLOURED = re.compile(r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(.+)")  # r g b name
TABLED = re.compile(r"(.+?)\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})")  # name,r,g,b
MAPPED = re.compile(r"([^:]+):\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*(:.*)?")  # name:r,g,b:parts:actions
HINT = 'lines of names or of "r g b name", or JSON: ["name", …] or {"name": [r, g, b], …}'

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Legend:
    """Hold the meaning of masks.

    ``codes`` maps a mask's value to its class, 255 for none; None: values are classes. ``colours`` does so for RGB masks.
    """

    names: tuple[str, ...]
    shown: str  # where it is from
    colours: Mapping[Colour, int] = field(default_factory=dict)
    codes: Mapping[int, int] | None = None


def read(path: Path) -> Legend:
    """Read a file with the names, or also colours, of classes.

    Raises:
        HubtlError: for a file that cannot be read, of another form, or with a name or colour twice.
    """
    try:
        text = plain.text_of(path, LARGEST)
    except (OSError, ValueError) as error:
        raise HubtlError(f"{path.name} cannot be read: {error}", hint=HINT) from error
    entries = _of_json(text, path.name) if path.suffix.lower() == ".json" else _of_lines(text)
    return legend(entries, path.name)


def legend(entries: Sequence[tuple[str, Colour | None]], shown: str) -> Legend:
    """Return the legend of names, with or without colours, in order.

    Entries of a palette that are called void, ignore or unlabelled mean no class.

    Raises:
        HubtlError: for no entry, and for a name or a colour that occurs twice.
    """
    if not entries:
        raise HubtlError(f"{shown} names no class", hint=HINT)
    for name, n in Counter(name for name, _ in entries).items():
        if n > 1:
            raise HubtlError(f"{shown} names {name!r} twice", hint="a name for each class")
    painted = [colour for _, colour in entries if colour is not None]
    if not painted:
        return Legend(tuple(name for name, _ in entries), shown)
    if len(painted) < len(entries):
        bare = next(name for name, colour in entries if colour is None)
        raise HubtlError(f"{shown}: {bare!r} has no colour, and others have one", hint=HINT)
    for colour, n in Counter(painted).items():
        if n > 1:
            raise HubtlError(f"{shown} has the colour {_written(colour)} twice", hint="a colour for each class")
        if max(colour) > 255:
            raise HubtlError(f"{shown}: {_written(colour)} is no colour: values are 0 to 255", hint=HINT)
    names = tuple(name for name, _ in entries if name.strip().lower() not in VOID)
    place = {name: number for number, name in enumerate(names)}
    codes = {value: place.get(name, IGNORE) for value, (name, _) in enumerate(entries)}
    return Legend(names, shown, {colour: codes[value] for value, colour in enumerate(painted)}, codes)


def _of_lines(text: str) -> list[tuple[str, Colour | None]]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and re.fullmatch(r"name\s*,\s*r\s*,\s*g\s*,\s*b", lines[0], re.IGNORECASE):
        lines = lines[1:]
    found: list[tuple[str, Colour | None]] = []
    for line in lines:
        if match := COLOURED.fullmatch(line):
            found.append((match[4].strip(), (int(match[1]), int(match[2]), int(match[3]))))
        elif match := TABLED.fullmatch(line) or MAPPED.fullmatch(line):
            found.append((match[1].strip(), (int(match[2]), int(match[3]), int(match[4]))))
        else:
            found.append((line, None))
    return found


def _of_json(text: str, shown: str) -> list[tuple[str, Colour | None]]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise HubtlError(f"{shown} is no JSON: {error}", hint=HINT) from error
    if isinstance(data, list) and all(isinstance(name, str) for name in data):
        return [(name, None) for name in data]
    if isinstance(data, dict) and data and all(_is_colour(value) for value in data.values()):
        return [(name, (value[0], value[1], value[2])) for name, value in data.items()]
    if isinstance(data, dict):
        numbered = {int(k): v for k, v in data.items() if k.isdigit() and isinstance(v, str)}
        numbered = numbered or {v: k for k, v in data.items() if type(v) is int}
        if len(numbered) == len(data) and sorted(numbered) == list(range(len(data))) and data:
            return [(numbered[number], None) for number in range(len(data))]
    raise HubtlError(f"{shown} has another form than names, numbers of names, or colours", hint=HINT)


def _is_colour(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(part) is int and part >= 0 for part in value)


def _written(colour: Colour) -> str:
    return " ".join(map(str, colour))
