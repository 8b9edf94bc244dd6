"""The contract of a backbone's loader: from a name to a backbone, and from a folder that it wrote back to one."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel
from torch import nn

from hubtl import plugins
from hubtl.backbones.base import Backbone, BackboneRequest
from hubtl.errors import HubtlError
from hubtl.plugins import index
from hubtl.plugins.blame import broken, label, minded, owner
from hubtl.plugins.modalities import USUAL
from hubtl.record import Outputs
from hubtl.record.needs import of_architecture


class Loader(ABC):
    """Load backbones by name; ``hubtl.backbones`` registers the class, or an object of it.

    Attributes:
        Options: a pydantic model of ``--set model.NAME=VALUE``; None: there are none.
        training: keys of a recipe that these models are commonly trained with.
        modalities: what its models take, where a name alone does not tell.
        picks: of a loader that fuses several modalities, strategies made for them and why, by setting: what ``auto`` takes.
    """

    Options: ClassVar[type[BaseModel] | None] = None
    training: ClassVar[Mapping[str, Any]] = {}
    modalities: ClassVar[tuple[str, ...]] = (USUAL,)
    picks: ClassVar[Mapping[str, tuple[str, str]]] = {}

    @abstractmethod
    def load(self, name: str, request: BackboneRequest) -> Backbone:
        """Build the backbone of a name.

        The name is the text after the loader's own name and a colon. Raises HubtlError.
        """

    def rebuild(
        self, folder: Path, outputs: Outputs, request: BackboneRequest | None = None
    ) -> tuple[Backbone, nn.Linear]:
        """Build what ``Backbone.save`` wrote into a folder, and its classifier.

        ``request`` says how it is adapted further: its image size, options, and whether it keeps its weights; None: it is
        to predict. A loader without this method serves models whose format another library reads. Raises HubtlError for a
        damaged folder.
        """
        raise NotImplementedError

    def __call__(self, name: str, request: BackboneRequest) -> Backbone:
        return self.load(name, request)


class _Function(Loader):
    """Wrap a function of a name and a request. Packages for hubtl 0.1 register such functions."""

    def __init__(self, function: Any) -> None:
        self.function = function
        vars(self)["training"] = getattr(function, "training", {})

    def load(self, name: str, request: BackboneRequest) -> Backbone:
        made: Backbone = self.function(name, request)
        return made


def loader(name: str) -> Any:
    """Return the registered loader of a name. Raises HubtlError with the nearest name."""
    return ready(plugins.load("backbones", name))


def ready(found: Any) -> Any:
    """Return a registered class, object or function as a loader. Raises HubtlError for a class that cannot be made."""
    if isinstance(found, type):
        with minded(found, "its __init__"):
            return found()
    return found if hasattr(found, "load") else _Function(found)


def rebuilds(found: Any) -> bool:
    """Return whether a loader opens what its backbones save."""
    own = getattr(type(found), "rebuild", None)
    return own is not None and own is not Loader.rebuild


def several() -> str | None:
    """Return the name of the loader that fuses modalities into one model; None where no package brings one."""
    known = plugins.entries("backbones")
    return next((name for name in plugins.fusions() if name in known), None)


def fuses(shown: str) -> str:
    """Return the same name. Raises HubtlError where no package brings one, with the package that is known to."""
    if (name := several()) is None:
        package = index.package_of("backbones", "several")
        raise HubtlError(
            f"{shown} is a model of several modalities, or of their encoders; these come with {package}, which is not "
            "installed",
            hint=f"pip install {package}",
        )
    return name


def made_by(name: str) -> dict[str, str]:
    """Return a loader as ``hubtl.json`` names it: its name, its package, and its version."""
    entry = plugins.find("backbones", name)
    return {"name": name, "package": entry.package, "version": entry.version}


def saved_by(config: Mapping[str, Any], facts: Mapping[str, Any], shown: str) -> Any:
    """Return the loader that opens a saved model; None where the libraries' own formats say everything.

    ``config`` is its ``config.json``, ``facts`` its ``hubtl.json``. Raises HubtlError where the loader's package is not
    installed, and where the loader opens nothing.
    """
    given = given_loader(config, facts)
    if given is None:
        return None
    name, package = str(given.get("name")), str(given.get("package"))
    entry = plugins.entries("backbones").get(name)
    if entry is None or (not entry.builtin and package == "hubtl"):
        raise HubtlError(
            f"{shown} was saved by the loader {name!r} of {package} {given.get('version') or ''}".rstrip()
            + ", which is not installed",
            hint=f"pip install {package}",
        )
    found = loader(name)
    if not rebuilds(found):
        raise broken(found, f"does not open what {shown} holds", f"pip install --upgrade {package}")
    return found


def given_loader(config: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the loader that a saved model names; of version 0.1, the one that its architecture tells. None: no one's own."""
    own = config.get("hubtl")
    given = facts.get("loader") or (own.get("loader") if isinstance(own, Mapping) else None)
    if isinstance(given, Mapping):
        return None if given.get("name") == LIBRARIES else given
    if "pretrained_cfg" in config or "model_type" in config:
        return None
    name = str(config.get("architecture", "")).partition(":")[0]
    if (package := config.get("plugin")) or isinstance(config.get("modalities"), list):
        return {"name": name, "package": package or of_architecture(name)}
    entry = plugins.entries("backbones").get(name)
    native = entry is not None and entry.builtin and rebuilds(loader(name))
    return {"name": name, "package": "hubtl"} if native else None


def renewed(config: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the loader that a saved model names, in its installed version."""
    given = given_loader(config, facts)
    return None if given is None else made_by(str(given["name"]))


LIBRARIES = "local"  # the loader of what timm and transformers open


def opener(backbone: Backbone) -> dict[str, str]:
    """Return the loader that opens what a backbone saves: its own, that of its architecture, or that of the libraries."""
    if backbone.loader is not None:
        return dict(backbone.loader)
    known, info = plugins.entries("backbones"), backbone.info
    if info.library not in ("timm", "transformers"):  # what a loader without ``rebuild`` may build of hubtl's own
        for name in (info.architecture.partition(":")[0], info.library):
            if name in known and known[name].builtin and rebuilds(loader(name)):
                return made_by(name)
    return made_by(LIBRARIES)


def check_reopens(backbone: Backbone) -> None:
    """Raise HubtlError for a backbone that could not be loaded once saved: training it would be in vain."""
    if backbone.loader is not None or owner(backbone) is None:
        return
    if type(backbone).native and backbone.info.library in ("timm", "transformers"):
        return
    entry = owner(backbone)
    package = "its package" if entry is None else entry.package
    raise HubtlError(
        f"{label(backbone)} could not be loaded again once it is saved: its loader has no rebuild",
        hint=f"pip install --upgrade {package}, or report it there; docs/plugins.md, A backbone",
    )
