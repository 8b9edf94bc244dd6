"""The Hub's check of a card's metadata (/api/validate-yaml), in its words; written apart from hubtl's own lint."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

LICENCES = ("apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0", "bsd-3-clause", "openrail", "other")  # some of them
ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


def errors(readme: str) -> list[str]:
    """Return the Hub's objections to a README; none if it accepts it."""
    front = re.match(r"---\n(.*?)\n?---\n", readme, re.DOTALL)
    try:
        found = yaml.safe_load(front.group(1)) if front else {}
    except yaml.YAMLError as error:
        return [f"YAML: {error}"]
    if not isinstance(found or {}, dict):
        return ['"value" must be of type object']
    return list(_errors(found or {}))


def _errors(found: dict[str, Any]) -> Iterator[str]:
    for key, value in found.items():
        if value is None or value == "":
            yield f'"{key}" is not allowed to be empty'
    for key in ("license", "base_model", "datasets", "tags", "language"):
        value = found.get(key)
        for item in value if isinstance(value, list) else [] if value is None else [value]:
            if not isinstance(item, str):
                yield f'"{key}" must be a string'
            elif key == "license" and item not in LICENCES:
                yield f'"license" must be one of [{", ".join(LICENCES)}]'
            elif key in ("base_model", "datasets") and (not ID.fullmatch(item) or "--" in item or ".." in item):
                yield f'"{key}" with value "{item}" is not valid. Use a repo id from the Hub.'
            elif key == "tags" and not 0 < len(item) <= 100:
                yield '"tags" length must be less than or equal to 100 characters long'
    if "model-index" in found:
        yield from _index(found["model-index"])


def _index(index: Any) -> Iterator[str]:
    if not isinstance(index, list):
        yield '"model-index" must be an array'
        return
    for i, model in enumerate(index):
        if not isinstance(model.get("name"), str):
            yield f'"model-index[{i}].name" is required'
        for j, result in enumerate(model.get("results") or [{}]):
            here = f"model-index[{i}].results[{j}]"
            for part in ("task", "dataset"):
                if not isinstance((result.get(part) or {}).get("type"), str):
                    yield f'"{here}.{part}.type" is required'
            if not result.get("metrics"):
                yield f'"{here}.metrics" must contain at least 1 items'
            for metric in result.get("metrics") or []:
                if "type" not in metric or not isinstance(metric.get("value"), int | float | str):
                    yield f'"{here}.metrics" needs a type and a value'
