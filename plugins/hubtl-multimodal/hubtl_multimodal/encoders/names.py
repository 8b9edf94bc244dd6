"""Locate a model by its name: timm's registry, a folder, or the Hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubtl.backbones.hub import license_of
from hubtl.backbones.reach import out_of_reach
from hubtl.backbones.saved import read_config
from hubtl.errors import HubtlError, nearest
from hubtl.hub.network import mind_the_network
from hubtl.modalities.native.loading import auto_names
from hubtl.modalities.native.source import Source

SECOND = {"clip": {"image"}, "siglip": {"image"}, "clap": {"audio"}}  # models of two towers


def locate(modality: str, name: str, pretrained: bool) -> Source:
    """Find a model.

    Raises:
        HubtlError: for an unknown name, and for one of another modality.
    """
    if name.startswith("local-dir:") or Path(name).expanduser().is_dir():
        path = Path(name.removeprefix("local-dir:")).expanduser()
        return of_folder(modality, path, path.resolve().name)  # where a folder lies is nobody's business
    bare = name.removeprefix("timm:").removeprefix("timm/")
    if "/" not in bare and "@" not in bare and (modality != "text" or bare != name):
        return _of_timm(modality, bare, name)
    if modality == "text" and "/" not in name and _is_timm(name):
        raise mistaken(name, "image", "text")
    return _of_hub(modality, name, pretrained)


def of_folder(modality: str, path: Path, shown: str) -> Source:
    """Return a model in a folder, of timm's or of transformers' format."""
    config = read_config(path)
    facts = _facts_of(config)
    if "model_type" in config and config["model_type"] != "timm_wrapper":
        check_modality(modality, config, shown)
        return Source(shown, "transformers", str(path), config, facts)
    if config.get("architecture"):
        if modality == "text":
            raise mistaken(shown, "image", "text")
        return Source(shown, "timm", f"local-dir:{path}", config, facts)
    raise HubtlError(
        f"{shown}: config.json names neither an architecture nor a model type", hint="a timm or transformers folder"
    )


def _of_timm(modality: str, bare: str, shown: str) -> Source:
    if modality == "text":
        raise mistaken(shown, "image", "text")
    if not _is_timm(bare):
        from hubtl.backbones.timm import model_names

        guess = nearest(bare.split(".")[0], model_names())
        raise HubtlError(f"unknown model {shown!r}: not a timm name, a folder or a Hub id", hint=guess or "user/repo")
    return Source(shown, "timm", bare)


def _is_timm(name: str) -> bool:
    from hubtl.backbones.timm import is_architecture

    return is_architecture(name)


def _of_hub(modality: str, name: str, pretrained: bool) -> Source:
    from huggingface_hub import hf_hub_download

    repo, _, revision = name.partition("@")
    mind_the_network()
    try:
        path = Path(hf_hub_download(repo, "config.json", revision=revision or None))
    except Exception as error:
        raise out_of_reach(name, error) from error
    config = read_config(path.parent)
    if "auto_map" in config and "model_type" not in config:
        raise HubtlError(f"{repo} needs its own code to run, and none from the Hub is run", hint="choose another model")
    commit = path.parent.name
    facts = {"base_model": repo, "revision": commit, "license": license_of(repo, commit)} if pretrained else {}
    if "model_type" in config and config["model_type"] != "timm_wrapper":
        check_modality(modality, config, name)
        return Source(name, "transformers", repo, config, facts, commit)
    if modality == "text":
        raise mistaken(name, "image", "text")
    return Source(name, "timm", f"hf-hub:{repo}@{commit}", config, facts)


def _facts_of(config: Mapping[str, Any]) -> dict[str, Any]:
    meta = config.get("hubtl")
    found = {key: meta.get(key) for key in ("base_model", "revision")} if isinstance(meta, dict) else {}
    return {key: value for key, value in found.items() if value is not None}


def check_modality(modality: str, config: Mapping[str, Any], shown: str) -> None:
    """Raise HubtlError for a configuration of another modality; pass for an unknown type."""
    known = modalities_of(str(config["model_type"]))
    if known and modality not in known:
        raise mistaken(shown, " and ".join(sorted(known)), modality)


def modalities_of(kind: str) -> set[str]:
    """Return the modalities of a transformers model type; empty where the library's own lists do not tell."""
    if kind in SECOND:
        return SECOND[kind]
    lists = {
        "image": ("MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES",),
        "audio": ("MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES", "MODEL_FOR_CTC_MAPPING_NAMES"),
        "text": ("MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES", "MODEL_FOR_MASKED_LM_MAPPING_NAMES"),
    }
    found = {modality for modality, names in lists.items() if any(kind in auto_names(n) for n in names)}
    extra = {"clip_vision_model": "image", "siglip_vision_model": "image", "clap_audio_model": "audio"}
    return found | ({extra[kind]} if kind in extra else set())


def mistaken(shown: str, is_a: str, not_a: str) -> HubtlError:
    """Return the error for a model of another modality."""
    return HubtlError(
        f"{shown} is {_article(is_a)} model, not {_article(not_a)} model",
        hint=f"name {_article(not_a)} model, or use this one for {is_a}",
    )


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
