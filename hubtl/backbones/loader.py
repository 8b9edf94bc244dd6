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
from hubtl.plugins import index, installed
from hubtl.plugins.blame import broken, label, minded, owner
from hubtl.plugins.modalities import USUAL
from hubtl.record import Outputs
from hubtl.record.needs import of_architecture


class Loader(ABC):
    """Load backbones by name; ``hubtl.backbones`` registers the class, or an object of it.

    Attributes:
        Options: a pydantic model of ``--set model.NAME=VALUE``; None: there are none.
        training: keys of a recipe that these models are commonly trained with.
        frozen: such keys where only a head learns, by a method whose losses are of outputs alone.
        modalities: what its models take, where a name alone does not tell.
        picks: of a loader that fuses several modalities, strategies made for them and why, by setting: what ``auto`` takes.
    """

    Options: ClassVar[type[BaseModel] | None] = None
    training: ClassVar[Mapping[str, Any]] = {}
    frozen: ClassVar[Mapping[str, Any]] = {}
    modalities: ClassVar[tuple[str, ...]] = (USUAL,)
    picks: ClassVar[Mapping[str, tuple[str, str]]] = {}

    @abstractmethod
    def load(self, name: str, request: BackboneRequest) -> Backbone:
        """Build the backbone of a name.

        Args:
            name: the text after the loader's own name and a colon.
            request: names of the outputs, image size, options, and whether weights are loaded.

        Raises:
            HubtlError: for a name, an option or weights that cannot be used.
        """

    def rebuild(
        self, folder: Path, outputs: Outputs, request: BackboneRequest | None = None
    ) -> tuple[Backbone, nn.Linear]:
        """Build what ``Backbone.save`` wrote into a folder, and its classifier.

        A loader without this method serves models whose format another library reads.

        Args:
            folder: the folder.
            outputs: names and details of the model's outputs.
            request: how it is adapted further: image size, options, and whether it keeps its weights; None: it is to
                predict.

        Returns:
            The backbone, and the linear layer from its features [b, width] to logits [b, c].

        Raises:
            HubtlError: for a damaged folder.
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


LIBRARIES = "local"  # the loader of what timm and transformers open


def reopened(
    config: Mapping[str, Any],
    facts: Mapping[str, Any],
    folder: Path,
    shown: str,
    outputs: Outputs,
    request: BackboneRequest | None = None,
) -> tuple[Backbone, nn.Linear]:
    """Open a saved model by the loader that it names.

    ``given_loader`` says whether there is one. ``config`` is the model's ``config.json``, ``facts`` its ``hubtl.json``.
    Raises HubtlError where the loader's package is not installed, where it opens nothing, and for a folder that it cannot
    open.
    """
    entry = _entry(given_loader(config, facts) or {}, shown)
    registered = entry.load()
    found = ready(registered)
    if not rebuilds(found):
        raise broken(registered, f"does not open what {shown} holds: it has no rebuild", entry.remedy)
    with minded(registered, f"opening {shown}"):
        made = found.rebuild(folder, outputs, request)
    kinds = tuple(type(part) for part in made) if isinstance(made, tuple) else (type(made),)
    if len(kinds) != 2 or not (issubclass(kinds[0], Backbone) and issubclass(kinds[1], nn.Linear)):
        named = ", ".join(kind.__name__ for kind in kinds)
        raise broken(registered, f"opens {shown} as {named}", "rebuild returns a hubtl.Backbone and an nn.Linear")
    backbone, head = made
    backbone.loader = {"name": entry.name, "package": entry.package, "version": entry.version}
    return backbone, head


def _entry(given: Mapping[str, Any], shown: str) -> plugins.Entry:
    """Return the installed loader that a saved model names. Raises HubtlError where there is none."""
    name, package, version = given.get("name"), given.get("package"), given.get("version")
    if not isinstance(name, str) or not installed.NAME.fullmatch(name):
        raise HubtlError(f"{shown} names the loader {name!r}, which is no name", hint="save or pull the model again")
    known = plugins.entries("backbones")
    entry = known.get(f"{package}:{name}") or known.get(name)
    if entry is not None and (package == "hubtl") == entry.builtin:
        return entry
    if isinstance(version, str) and version.startswith("sha256:"):
        raise HubtlError(
            f"{shown} was saved by the loader {name!r} of the file {package}, which is not given",
            hint=f"--plugin {package}, or hubtl.add_plugin(…) in Python",
        )
    of = f" of {package} {version or ''}".rstrip() if installed.is_package(package) else ""
    raise HubtlError(
        f"{shown} was saved by the loader {name!r}{of}, which is not installed",
        hint=installed.remedy(package, lacks=f"the loader {name}"),
    )


def given_loader(config: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the loader that a saved model names; of version 0.1, the one that its architecture tells. None: no one's own."""
    own = config.get("hubtl")
    given = facts.get("loader") or (own.get("loader") if isinstance(own, Mapping) else None)
    if isinstance(given, Mapping):
        return None if _of_libraries(given) else given
    if "pretrained_cfg" in config or "model_type" in config:
        return None
    name = str(config.get("architecture", "")).partition(":")[0]
    if (package := config.get("plugin")) or isinstance(config.get("modalities"), list):
        return {"name": name, "package": package or of_architecture(name)}
    given = {"name": name, "package": "hubtl"}
    return None if name not in plugins.entries("backbones") or _of_libraries(given) else given


def _of_libraries(given: Mapping[str, Any]) -> bool:
    """Return whether a loader of hubtl leaves opening to the libraries."""
    name = given.get("name")
    if name == LIBRARIES:
        return True
    entry = plugins.entries("backbones").get(str(name)) if given.get("package") == "hubtl" else None
    return entry is not None and entry.builtin and not rebuilds(loader(str(name)))


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
