"""Load a model in a local folder: of timm, transformers or hubtl."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubtl.backbones.base import Backbone, BackboneRequest
from hubtl.backbones.loader import given_loader, reopened
from hubtl.backbones.saved import lineage, output_names, outputs_of, read_config, read_facts
from hubtl.backbones.surgery import weights_of
from hubtl.backbones.weights import check_folder
from hubtl.errors import HubtlError
from hubtl.record import Outputs


def load(name: str, request: BackboneRequest) -> Backbone:
    """Load the backbone of a folder with a ``config.json``. Its classifier is new.

    Args:
        name: the folder.
        request: the wishes for the model.
    """
    folder = Path(name).expanduser()
    config = read_config(folder)
    return from_folder(folder, folder.resolve().name, config, request, _origin(config))


def from_folder(
    folder: Path, shown: str, config: Mapping[str, Any], request: BackboneRequest, known: Mapping[str, Any]
) -> Backbone:
    """Load the backbone in a folder by its configuration.

    ``known`` are facts on its weights, which do not apply to random ones.
    """
    built: Backbone
    if not config.get("architecture") and "model_type" not in config:
        raise HubtlError(
            f"{shown}: config.json names neither an architecture nor a model type", hint="a timm or transformers folder"
        )
    check_folder(folder, weights=request.pretrained)
    facts = read_facts(folder)
    if given_loader(config, facts) is not None:
        outputs = outputs_of(facts, shown) or Outputs(names=output_names(config, shown))
        built, head = reopened(config, facts, folder, shown, outputs, request)
        built.kept = weights_of(head) if request.keep_classifier and request.pretrained else None
    elif "model_type" in config and config["model_type"] != "timm_wrapper":
        from hubtl.backbones import transformers

        built = transformers.create(str(folder), shown, request, revision=None)
    else:
        from hubtl.backbones import timm

        built = timm.create(f"local-dir:{folder}", shown, request)
    told = {k: v for k, v in known.items() if v is not None} if request.pretrained else {}
    built.info = dataclasses.replace(built.info, name=shown, **told)
    return built


def _origin(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts on the origin of a model that hubtl made."""
    meta = config.get("hubtl")
    known = {key: meta.get(key) for key in ("base_model", "revision")} if isinstance(meta, dict) else {}
    return known | {"lineage": lineage(config)}
