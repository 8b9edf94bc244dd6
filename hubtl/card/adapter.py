"""Render the README of an adapter beside the merged model."""

from typing import Any

import yaml

from hubtl.card import metadata, names
from hubtl.card.snippet import complete
from hubtl.card.wording import fenced, md
from hubtl.record import RunRecord

KEPT = ("pipeline_tag", "license", "license_name", "license_link", "base_model", "datasets", "tags")


def render(record: RunRecord, given: str) -> str:
    """Return metadata and code of a run's adapter.

    Args:
        record: the record of the run.
        given: the backbone's code, which loads the adapter onto its base.
    """
    known = metadata.of(record)
    front: dict[str, Any] = {"library_name": "peft", **{key: known[key] for key in KEPT if key in known}}
    if "base_model" in front:
        front["base_model_relation"] = "adapter"
    front["tags"] = [*front["tags"], "lora"]
    what = f"{names.base_link(record.model)} with a low-rank update, adapted to {names.domain_link(record.target)}"
    lines = (
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---",
        f"# Adapter for {md(names.domain_name(record.target))}",
        f"What training with {md(record.strategy)} changed in {what}. The merged model, which needs neither the base nor "
        "PEFT, and the figures are in the folder above.",
        "It loads with PEFT onto the base; hubtl is not needed.",
        fenced(complete(given, record), "python"),
    )
    return "\n\n".join(lines) + "\n"
