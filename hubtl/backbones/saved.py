"""What a saved model says of itself: ``hubtl.json``, and the class names of its configuration."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubtl.errors import HubtlError
from hubtl.record import FORMAT_VERSION

STEP = ("base", "revision", "strategy", "target")  # the keys of a step of a lineage
LONGEST = 20  # steps


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json``. Raises HubtlError where there is none that can be read."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise HubtlError(
            f"{folder} holds no config.json: not a model's folder", hint="a timm, transformers or hubtl folder"
        ) from error
    except ValueError as error:
        raise HubtlError(f"{folder}/config.json is not JSON", hint="save the model again") from error
    if not isinstance(config, dict):
        raise HubtlError(f"{folder}/config.json is not a configuration", hint="save the model again")
    return config


def read_facts(folder: Path) -> dict[str, Any]:
    """``hubtl.json``, or nothing. Raises HubtlError for a format from the future."""
    path = folder / "hubtl.json"
    if not path.exists():
        return {}
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if int(facts.get("format_version", 1)) > FORMAT_VERSION:
        raise HubtlError(
            f"{folder} was written by a newer hubtl (format {facts['format_version']}, this one reads {FORMAT_VERSION})",
            hint="pip install --upgrade hubtl",
        )
    return facts


def lineage(config: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """The runs of hubtl that made a model, the first one first; none for another program's models."""
    meta = config.get("hubtl")
    if not isinstance(meta, dict):
        return ()
    steps = meta.get("lineage")
    if not isinstance(steps, list):  # written before the steps were
        steps = [{"base": meta.get("base_model"), "revision": meta.get("revision"), "strategy": meta.get("strategy")}]
    known = [{k: v for k, v in s.items() if k in STEP and isinstance(v, str)} for s in steps if isinstance(s, dict)]
    return tuple(step for step in known if {"base", "strategy"} <= step.keys())[-LONGEST:]


def class_names(config: Mapping[str, Any]) -> list[str]:
    """The names of the classes that a configuration of timm, transformers or hubtl gives; none where it gives none."""
    names = config.get("label_names") or (config.get("pretrained_cfg") or {}).get("label_names")
    if names:
        return list(names)
    mapping = config.get("id2label") or {}
    return [mapping[key] for key in sorted(mapping, key=int)]
