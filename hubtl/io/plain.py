"""Read YAML and JSON as plain data within bounds: no multiplying aliases, no tags, no endless files."""

import json
import os
import stat
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

LARGEST = 2**20  # bytes of a recipe: the longest known has a few thousand
LARGEST_JSON = 2**28  # a record of 20,000 classes has a few million
DEEPEST = 32  # levels
NODES = 20_000  # keys, items and values; an alias counts as all that it stands for
LONGEST_NUMBER = 40  # digits
TAGS = {
    f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "timestamp", "map", "seq", "merge")
}
NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}


class Refused(ValueError):
    """Report text that is no plain data, with the reason."""


class _Loader(yaml.SafeLoader):
    """Load maps, lists, texts and numbers; a repeated key is an error."""

    def __init__(self, text: str, most: int) -> None:
        super().__init__(text)
        self._most, self._depth, self._made = most, 0, 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        self._made += 1
        if self._depth > DEEPEST:
            raise Refused(f"it is nested deeper than {DEEPEST} levels")
        if self._made > self._most:
            raise Refused(f"it holds more than {self._most:,} values")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        return super().construct_object(node, deep=True)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        met: set[Any] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise Refused(f"line {key.start_mark.line + 1}: a key is not a word")
            if key.value in met:
                raise Refused(f"line {key.start_mark.line + 1}: the key {key.value[:80]!r} is given twice")
            met.add(key.value)
        return super().construct_mapping(node, deep=True)


def parsed(text: str, most: int = NODES) -> Any:
    """Return the content of a YAML text.

    Args:
        text: the text.
        most: the limit of keys, items and values.

    Raises:
        Refused: for anything but plain data.
        yaml.YAMLError: for anything but YAML.
    """
    if len(text) > LARGEST:
        raise Refused(f"it is longer than {LARGEST:,} characters")
    try:
        loader = _Loader(text, most)
    except yaml.reader.ReaderError as error:  # a NUL, an escape: its own words speak of bytes and an encoding
        raise Refused(f"it holds the character U+{int(error.character):04X}") from error
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _weigh(node, {}, most)
        return loader.construct_document(node)
    except RecursionError as error:
        raise Refused("it is nested too deeply") from error
    except Refused:
        raise
    except (ValueError, OverflowError, TypeError) as error:  # 2024-13-45 is no date, 0x is no number
        raise Refused(" ".join(str(error).split())[:200]) from error
    finally:
        loader.dispose()


def _weigh(node: yaml.Node, known: dict[int, int], most: int) -> int:
    """Count the nodes below one, with those behind aliases each time again.

    Raises:
        Refused: for too many, and for tags.
    """
    line = f"line {node.start_mark.line + 1}"
    if id(node) in known:
        if known[id(node)] < 0:
            raise Refused(f"{line}: an alias stands for what it is in")
        return known[id(node)]
    known[id(node)] = -1
    if node.tag not in TAGS:
        raise Refused(f"{line}: the tag {node.tag.replace('tag:yaml.org,2002:', '!!')[:80]} is not plain data")
    if isinstance(node, yaml.ScalarNode):
        weight = 1
        if node.tag in NUMBERS and len(node.value) > LONGEST_NUMBER:
            raise Refused(f"{line}: a number of {len(node.value)} digits")
    elif isinstance(node, yaml.MappingNode):
        weight = 1 + sum(_weigh(key, known, most) + _weigh(value, known, most) for key, value in node.value)
    else:
        weight = 1 + sum(_weigh(item, known, most) for item in node.value)
    if weight > most:
        raise Refused(f"{line}: with what aliases stand for, it holds more than {most:,} values")
    known[id(node)] = weight
    return weight


def text_of(path: Path, most: int = LARGEST) -> str:
    """Return the text of a file.

    Args:
        path: the file.
        most: the limit of bytes.

    Raises:
        OSError: as opening does.
        Refused: for a pipe, a device, a larger file, and anything but UTF-8.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise Refused(f"it is {'a folder' if stat.S_ISDIR(mode) else 'a pipe or a device'}, not a file")
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise Refused(f"it is larger than {most:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"it is not UTF-8 text: {error.reason} at byte {error.start}") from error


def json_of(path: Path, most: int = LARGEST_JSON) -> Any:
    """Return the content of a JSON file.

    Args:
        path: the file.
        most: the limit of bytes.

    Raises:
        OSError: as opening does.
        Refused: for what ``text_of`` refuses and for anything but JSON.
    """
    try:
        return json.loads(text_of(path, most))
    except RecursionError as error:
        raise Refused("it is nested too deeply") from error
    except Refused:
        raise
    except ValueError as error:
        raise Refused(f"it is not JSON: {error}") from error


def object_of(path: Path) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        OSError: as opening does.
        Refused: for what ``json_of`` refuses and for anything but an object.
    """
    found = json_of(path)
    if not isinstance(found, dict):
        raise Refused(f"it holds a JSON {type(found).__name__}, not an object")
    return found
