"""Load a model of the Hub, ``user/repo[@revision]``: timm's, transformers' or hubtl's."""

import dataclasses
from pathlib import Path
from typing import Any

from hubtl.backbones import local
from hubtl.backbones.base import Backbone, BackboneRequest
from hubtl.backbones.reach import out_of_reach
from hubtl.backbones.saved import lineage, read_config
from hubtl.errors import HubtlError
from hubtl.hub.licence import licence_of
from hubtl.hub.network import mind_the_network
from hubtl.io import plain


def load(name: str, request: BackboneRequest) -> Backbone:
    """Download the files that the configuration needs, and build the model.

    Code from the Hub is never run.

    Args:
        name: ``user/repo[@revision]``.
        request: the wishes for the model.

    Raises:
        HubtlError: with the cause, when the repository or its weights cannot be loaded.
    """
    repo, _, revision = name.partition("@")
    mind_the_network()
    path = _config(repo, revision or None)
    config = read_config(path.parent)
    if "auto_map" in config and "model_type" not in config:
        raise HubtlError(
            f"{repo} needs its own code to run, and hubtl runs none from the Hub", hint="choose another model"
        )
    commit = path.parent.name
    known: dict[str, Any] = {"base_model": _whole(repo), "revision": commit, "license": license_of(repo, commit)}
    known["lineage"] = lineage(config)
    if "model_type" in config and config["model_type"] != "timm_wrapper":
        from hubtl.backbones import transformers

        built: Backbone = transformers.create(repo, name, request, revision=commit)
        built.info = dataclasses.replace(built.info, **(known if request.pretrained else {}))
        return built
    folder = _snapshot(repo, commit) if request.pretrained else path.parent
    return local.from_folder(folder, name, config, request, known)


def _whole(repo: str) -> str:
    """Return a Hub id with its owner; unchanged where the Hub cannot be reached."""
    if "/" in repo:
        return repo
    from huggingface_hub import HfApi
    from huggingface_hub.utils import httpx

    try:
        return str(HfApi().model_info(repo, timeout=5.0).id)
    except (OSError, ValueError, httpx.HTTPError):
        return repo


def peek(name: str) -> dict[str, Any]:
    """Return the configuration of ``user/repo[@revision]``; empty if unavailable."""
    repo, _, revision = name.partition("@")
    mind_the_network()
    try:
        return plain.object_of(_config(repo, revision or None))
    except (HubtlError, OSError, ValueError):
        return {}


def _config(repo: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo, "config.json", revision=revision))
    except Exception as error:
        raise out_of_reach(repo + (f"@{revision}" if revision else ""), error) from error


def _snapshot(repo: str, commit: str) -> Path:
    from huggingface_hub import snapshot_download

    allowed = ["config.json", "hubtl.json", "*.safetensors", "pytorch_model.bin", "encoders/*"]
    try:
        return Path(snapshot_download(repo, revision=commit, allow_patterns=allowed))
    except Exception as error:
        raise out_of_reach(repo, error) from error


def license_of(repo: str, commit: str) -> str | None:
    """Return the licence on the repository's own card; None without one, or if unavailable."""
    return licence_of(repo, commit)
