"""``--model``: from a name to a backbone, through the registered loaders."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hubtl import plugins
from hubtl.backbones.base import Backbone, BackboneRequest
from hubtl.backbones.saved import read_config
from hubtl.errors import HubtlError, nearest, unknown
from hubtl.recipe import ModelSection, problems_of

MODALITIES = ("image", "text", "audio")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def resolve(name: str, request: BackboneRequest) -> Backbone:
    """Load a backbone by the name that a user gives.

    In this order: ``image=NAME,text=NAME,audio=NAME``, one or more of them, with the loader called multimodal;
    ``SCHEME:NAME`` with a registered loader (``torchvision:alexnet``), a loader's own name (``lenet``), a folder,
    ``timm/NAME``, a Hub id ``user/repo[@revision]``, a timm name.

    Raises HubtlError for a name that nobody knows, with the nearest one, for an option that the loader does not have,
    and for weights that are out of reach.
    """
    if len(request.classes) < 2:
        raise HubtlError(
            f"a classifier needs at least two classes, and there are {len(request.classes)}", hint="choose other data"
        )
    loader, rest = _loader(name)
    load = plugins.load("backbones", loader)
    check_options(name, request.options)
    backbone: Backbone = load(rest, request)
    return backbone


def modalities(name: str) -> tuple[str, ...]:
    """What a model takes, as far as its name, or what it was saved with, says: ``("image",)`` unless it says more."""
    return tuple(parts_of(name)) or takes(name) or ("image",)


def takes(name: str) -> tuple[str, ...]:
    """The modalities of a model that the loader called multimodal saved, in a folder or on the Hub; else none.

    A repository that cannot be asked says nothing here: loading it says why.
    """
    folder = Path(name.removeprefix("local-dir:").removeprefix("local:")).expanduser()
    repo = name.removeprefix("hf-hub:").removeprefix("hub:")
    config: dict[str, Any] = {}
    if folder.is_dir():
        with contextlib.suppress(HubtlError):
            config = read_config(folder)
    elif HUB_ID.fullmatch(repo) and not name.startswith(("timm/", ".")):
        from hubtl.backbones.hub import peek

        config = peek(repo)
    return tuple(config["modalities"]) if config.get("architecture") == "multimodal" else ()


def parts_of(name: str) -> dict[str, str]:
    """``image=NAME,text=NAME`` as a mapping; empty for a name of another form.

    Raises HubtlError for a modality that is unknown, or given twice.
    """
    if not re.match(r"\w+=", name) or Path(name).exists():
        return {}
    parts: dict[str, str] = {}
    for part in name.split(","):
        modality, equals, model = (text.strip() for text in part.partition("="))
        if not equals or not model:
            raise HubtlError(f"--model {name}: {part!r} is not MODALITY=NAME", hint="image=NAME,text=NAME,audio=NAME")
        if modality not in MODALITIES:
            raise unknown("modality", modality, MODALITIES)
        if modality in parts:
            raise HubtlError(f"--model {name}: {modality} is given twice", hint="one model for each modality")
        parts[modality] = model
    return parts


def multimodal() -> Any:
    """The loader of models of several modalities. Raises HubtlError where no package brings one."""
    if "multimodal" not in plugins.entries("backbones"):
        raise HubtlError(
            "models of several modalities come with hubtl-multimodal, which is not installed",
            hint="pip install hubtl-multimodal",
        )
    return plugins.load("backbones", "multimodal")


def _loader(name: str) -> tuple[str, str]:
    """The registered loader that a name is for, and what is left of the name."""
    if parts_of(name):
        multimodal()
        return "multimodal", name
    loaders = plugins.entries("backbones")
    scheme, colon, rest = name.partition(":")
    scheme = {"hf-hub": "hub", "local-dir": "local"}.get(scheme, scheme)
    if colon and scheme in loaders and not Path(name).exists():
        loader, rest = scheme, rest
    elif name in loaders:
        loader, rest = name, name
    elif Path(name).is_dir():
        loader, rest = "local", name
    elif name.startswith("timm/"):
        loader, rest = "timm", name.removeprefix("timm/")
    elif name.startswith((".", "/", "~")):
        raise HubtlError(f"there is no folder {name}", hint="give a folder that holds config.json, or a model's name")
    elif HUB_ID.fullmatch(name):
        loader, rest = "hub", name
    else:
        loader, rest = "timm", name
    return loader, rest


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raises HubtlError for an option that the loader of a name does not have, with the nearest one."""
    if not options:
        return
    loader = "multimodal" if takes(name) else _loader(name)[0]
    known: type[BaseModel] | None = getattr(plugins.load("backbones", loader), "Options", None)
    if known is None:
        guess = nearest(
            f"model.{next(iter(options))}", [f"model.{key}" for key in ModelSection.model_fields if key != "options"]
        )
        raise HubtlError(f"{loader} models have no option {next(iter(options))!r}", hint=guess or "leave it out")
    if problems := problems_of(known, loader, options):
        raise HubtlError("; ".join(problems), hint=f"its options: {', '.join(known.model_fields)}")
