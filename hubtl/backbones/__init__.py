"""``--model``: from a name to a backbone, through the registered loaders."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import BaseModel

from hubtl import plugins
from hubtl.backbones.base import Backbone, BackboneInfo, BackboneRequest, ImageInput
from hubtl.backbones.packages import multimodal as multimodal
from hubtl.backbones.packages import native as native
from hubtl.backbones.saved import read_config
from hubtl.backbones.weights import check_finite
from hubtl.errors import HubtlError, nearest, unknown
from hubtl.modules import Encoder
from hubtl.plugins.blame import broken, minded, owner
from hubtl.recipe.reading import problems_of
from hubtl.recipe.schema import ModelSection

MODALITIES = ("image", "text", "audio")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
NO_OWNER = re.compile(r"\w[\w.-]*(@[\w./-]+)?")  # bert-base-uncased: the Hub's oldest models have none


def resolve(name: str, request: BackboneRequest) -> Backbone:
    """Load a backbone by the name that a user gives.

    In this order: ``image=NAME,text=NAME,audio=NAME``, one or more of them, with the loader called multimodal;
    ``SCHEME:NAME`` with a registered loader (``torchvision:alexnet``) or ``transformers:NAME``, a loader's own name
    (``lenet``), a folder, ``timm/NAME``, a Hub id ``user/repo[@revision]``, a timm name, a Hub id without an owner
    (``bert-base-uncased``). A folder and a Hub id may hold a classifier of images, texts or recordings.

    Raises HubtlError for a name that nobody knows, with the nearest one, for an option that the loader does not have,
    and for weights that are out of reach.
    """
    if len(request.names) < 1:
        raise HubtlError("a model needs at least one output, and there is none", hint="choose other data")
    loader, rest = _loader(name)
    load = plugins.load("backbones", loader)
    check_options(name, request.options)
    with minded(load, f"loading {name}"):
        backbone: Any = load(rest, request)
    check_backbone(backbone, load)
    if request.pretrained:
        check_finite(backbone.state_dict(), f"the weights of {name}", hint="download or train the model again")
    return cast(Backbone, backbone)


def check_backbone(backbone: Any, load: Any) -> None:
    """Raise HubtlError for what is no backbone, or makes other features than it says. Of images it is tried on noise."""
    info = getattr(backbone, "info", None)
    if not isinstance(backbone, Backbone) or not isinstance(info, BackboneInfo):
        what = type(backbone).__name__ if not isinstance(backbone, Backbone) else f"backbone whose info is {info!r}"
        raise broken(load, f"loads a {what}", "return a hubtl.backbones.base.Backbone with its info")
    if not isinstance(info.width, int) or info.width < 1 or not callable(getattr(info.input, "as_dict", None)):
        raise broken(load, f"loads a backbone of width {info.width!r} and input {info.input!r}")
    if owner(backbone) is None or backbone.rows is not None or not isinstance(info.input, ImageInput):
        return  # what hubtl brings was tried when its classifier was taken out
    spec, training = info.input, backbone.training
    with minded(backbone, "its forward"), torch.no_grad():
        images = torch.randn(2, spec.channels, spec.size, spec.size, generator=torch.Generator().manual_seed(0))
        Encoder(backbone.eval())({"image": images})
    backbone.train(training)


def modalities(name: str) -> tuple[str, ...]:
    """What a model takes, as far as its name, or its configuration, says: ``("image",)`` unless it says more.

    Raises HubtlError for texts and recordings where no package reads them.
    """
    loader, found = _told_by(_peek(name))
    if loader == "transformers":
        native(found[0], name)
    return tuple(parts_of(name)) or found or ("image",)


def takes(name: str) -> tuple[str, ...]:
    """What a model in a folder or on the Hub takes, where it is more than images; else none.

    A repository that cannot be asked says nothing here: loading it says why.
    """
    return _told_by(_peek(name))[1]


def training_defaults(name: str) -> Mapping[str, Any]:
    """Keys of a recipe that models of a kind are commonly trained with; none where strategies decide them."""
    loader, found = _told_by(_peek(name))
    return dict(native(found[0], name).training) if loader == "transformers" else {}


def _peek(name: str) -> dict[str, Any]:
    """The configuration of a folder or of a repository; nothing where there is none, or it cannot be asked."""
    if parts_of(name):
        return {}
    folder = Path(re.sub(r"^(local-dir|local|transformers):", "", name)).expanduser()
    repo = re.sub(r"^(hf-hub|hub|transformers):", "", name)
    if folder.is_dir():
        with contextlib.suppress(HubtlError):
            return read_config(folder)
    elif _on_hub(repo, named=repo != name):
        from hubtl.backbones.hub import peek

        return peek(repo)
    return {}


def _told_by(config: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """The loader of what takes more than images, and what it takes."""
    if config.get("architecture") == "multimodal":
        takes = config.get("modalities")
        return "multimodal", tuple(str(m) for m in takes) if isinstance(takes, list) else ("image",)
    if "model_type" in config and config["model_type"] != "timm_wrapper":
        from hubtl.backbones.transformers import modality_of

        if (found := modality_of(config["model_type"])) in ("text", "audio"):
            return "transformers", (found,)
    return None, ()


def _on_hub(name: str, *, named: bool = False) -> bool:
    """Whether a name is a Hub id. One without an owner is where the Hub has it and timm does not, or where a scheme says so."""
    if ":" in name or name.startswith(("timm/", ".")):
        return False
    if HUB_ID.fullmatch(name):
        return True
    if not NO_OWNER.fullmatch(name) or name in plugins.entries("backbones"):
        return False
    if named:
        return True
    from hubtl.backbones.hub import peek
    from hubtl.backbones.timm import timm

    return not timm.is_model(name) and "model_type" in peek(name)


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


def _loader(name: str) -> tuple[str, str]:
    """The registered loader that a name is for, and what is left of the name."""
    if parts_of(name):
        multimodal()
        return "multimodal", name
    loaders = plugins.entries("backbones")
    scheme, colon, rest = name.partition(":")
    scheme = {"hf-hub": "hub", "local-dir": "local"}.get(scheme, scheme)
    if colon and scheme == "transformers" and not Path(name).exists():
        loader = "local" if Path(rest).expanduser().is_dir() else "hub"
    elif colon and scheme in loaders and not Path(name).exists():
        loader, rest = scheme, rest
    elif name in loaders:
        loader, rest = name, name
    elif Path(name).is_dir():
        loader, rest = "local", name
    elif name.startswith("timm/"):
        loader, rest = "timm", name.removeprefix("timm/")
    elif name.startswith((".", "/", "~")):
        raise HubtlError(f"there is no folder {name}", hint="give a folder that holds config.json, or a model's name")
    elif _on_hub(name):
        loader, rest = "hub", name
    else:
        loader, rest = "timm", name
    return loader, rest


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raises HubtlError for an option that the loader of a name does not have, with the nearest one."""
    if not options:
        return
    loader = _told_by(_peek(name))[0] or _loader(name)[0]
    known: type[BaseModel] | None = getattr(plugins.load("backbones", loader), "Options", None)
    if known is None:
        guess = nearest(
            f"model.{next(iter(options))}", [f"model.{key}" for key in ModelSection.model_fields if key != "options"]
        )
        raise HubtlError(f"{loader} models have no option {next(iter(options))!r}", hint=guess or "leave it out")
    if problems := problems_of(known, loader, options):
        raise HubtlError("; ".join(problems), hint=f"its options: {', '.join(known.model_fields)}")
