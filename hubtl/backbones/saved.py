"""Read the facts of a saved model: ``hubtl.json``, and the class names of its configuration."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubtl.backbones.weights import named, read_json
from hubtl.errors import HubtlError
from hubtl.record import FORMAT_VERSION, Outputs
from hubtl.settings import logger

NAMES = "a name for each output, numbered from 0"

STEP = ("base", "revision", "strategy", "target")  # the keys of a step of a lineage
LONGEST = 20  # steps


def read_config(folder: Path) -> dict[str, Any]:
    """Return ``config.json``.

    Raises:
        HubtlError: where none can be read, and for an adapter of PEFT.
    """
    if (folder / "adapter_config.json").is_file():
        base = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
        raise HubtlError(
            f"{folder} is an adapter of PEFT, not a whole model" + (f"; its base is {base}" if base else ""),
            hint="the folder of a model, such as what merge_and_unload() of PEFT makes, saved",
        )
    try:
        return read_json(folder / "config.json")
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            raise HubtlError(f"{folder / 'config.json'} cannot be read: {error.strerror}", hint="mend it") from error
        raise HubtlError(
            f"{folder} holds no config.json: not a model's folder", hint="a timm, transformers or hubtl folder"
        ) from error


def read_facts(folder: Path) -> dict[str, Any]:
    """Return ``hubtl.json``, or nothing.

    Raises:
        HubtlError: for a damaged file, and for a newer format.
    """
    path = folder / "hubtl.json"
    if not path.exists():
        return {}
    facts = read_json(path)
    written = facts.get("format_version", 1)
    if not isinstance(written, int) or isinstance(written, bool):
        raise HubtlError(f"{path}: format_version is {written!r}, not a number", hint="save the model again")
    if written > FORMAT_VERSION:
        raise HubtlError(
            f"{folder} was written by a newer hubtl (format {written}, this one reads {FORMAT_VERSION})",
            hint="pip install --upgrade hubtl",
        )
    return facts


def lineage(config: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the runs of hubtl that made a model, in order; none for another program's models."""
    meta = config.get("hubtl")
    if not isinstance(meta, dict):
        return ()
    steps = meta.get("lineage")
    if not isinstance(steps, list):  # written before the steps were
        steps = [{"base": meta.get("base_model"), "revision": meta.get("revision"), "strategy": meta.get("strategy")}]
    known = [{k: v for k, v in s.items() if k in STEP and isinstance(v, str)} for s in steps if isinstance(s, dict)]
    return tuple(step for step in known if {"base", "strategy"} <= step.keys())[-LONGEST:]


def outputs_of(facts: Mapping[str, Any], shown: str) -> Outputs | None:
    """Return the outputs in ``hubtl.json``, or None.

    Raises:
        HubtlError: for invalid names.
    """
    given = facts.get("outputs")
    if isinstance(given, dict):
        details = given.get("details")
        return Outputs(
            names=plain_names(given.get("names"), shown), details=details if isinstance(details, dict) else {}
        )
    return Outputs(names=plain_names(facts["classes"], shown)) if facts.get("classes") else None


def task_of(facts: Mapping[str, Any]) -> str:
    """Return the task of a model; by default classification."""
    given = facts.get("task")
    return given if isinstance(given, str) and given else "classification"


def output_names(config: Mapping[str, Any], shown: str = "config.json") -> list[str]:
    """Return the class names in a configuration of timm, transformers or hubtl; none without them.

    Equal names get their number too, with a warning.

    Args:
        config: the configuration.
        shown: the file's name, for errors.

    Raises:
        HubtlError: for names that are no list, and for class numbers that are not 0, 1, 2 and so on.
    """
    timm = config.get("pretrained_cfg")
    names = config.get("label_names") or (timm.get("label_names") if isinstance(timm, dict) else None)
    if names:
        return plain_names(names, shown)
    mapping = config.get("id2label") or {}
    if not isinstance(mapping, dict):
        raise HubtlError(f"{shown}: id2label is a {type(mapping).__name__}, not a mapping", hint=NAMES)
    numbers = {str(key).strip(): name for key, name in mapping.items()}
    if set(numbers) != {str(i) for i in range(len(mapping))}:
        odd = next((k for k in numbers if not k.isdigit()), None)
        what = (
            f"{odd!r} is no number of a class" if odd else f"its {len(mapping)} numbers are not 0 to {len(mapping) - 1}"
        )
        raise HubtlError(f"{shown}: id2label: {what}", hint=NAMES)
    return plain_names([numbers[str(i)] for i in range(len(numbers))], shown)


def output_count(config: Mapping[str, Any]) -> int:
    """Return the number of outputs in a configuration without names.

    transformers leaves out its default of two.
    """
    classifies = any(re.search("For(Image|Sequence|Audio)Classification", k) for k in config.get("architectures") or ())
    return int(config.get("num_classes") or (2 if classifies else 0))


def as_timm(names: Sequence[str]) -> dict[str, Any]:
    """Return the outputs' names as timm's configuration has them. ``output_names`` reads them."""
    return {"num_classes": len(names), "label_names": list(names)}


def plain_names(names: Any, shown: str) -> list[str]:
    """Return class names as a list of different texts."""
    if not isinstance(names, list | tuple):
        raise HubtlError(f"{shown}: the class names are a {type(names).__name__}, not a list", hint=NAMES)
    if odd := [name for name in names if not isinstance(name, str | int | float)]:
        raise HubtlError(f"{shown}: a class is called {odd[0]!r}, which is no text", hint=NAMES)
    found = [str(name) for name in names]
    twice = sorted({name for name, n in Counter(found).items() if n > 1})
    if not twice:
        return found
    logger.warning("%s calls %d classes alike (%s): their numbers are added", shown, len(twice), named(twice))
    return [f"{name} ({i})" if name in twice else name for i, name in enumerate(found)]
