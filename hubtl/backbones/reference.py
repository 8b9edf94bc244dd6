"""Interpret the name of a model: its loader and its inputs; read its configuration once."""

import contextlib
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hubtl import plugins
from hubtl.backbones.loader import fuses, given_loader, loader
from hubtl.backbones.saved import read_config
from hubtl.errors import HubtlError, nearest, unknown
from hubtl.io.places import there
from hubtl.plugins import modalities
from hubtl.plugins.modalities import USUAL
from hubtl.recipe.reading import problems_of
from hubtl.recipe.schema import ModelSection
from hubtl.record.needs import packages_in

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
NO_OWNER = re.compile(r"\w[\w.-]*(@[\w./-]+)?")  # bert-base-uncased: the Hub's oldest models have none


DENSE = "dense"  # the loader of models that answer for each place of an image


class ModelRef:
    """Refer to a model by its name (see ``hubtl.backbones.resolve``).

    Attributes:
        name: the given name.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def parts(self) -> dict[str, str]:
        """Return the encoders in ``image=NAME,text=NAME`` by modality; empty for another form."""
        return parts_of(self.name)

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """Return the configuration of a folder or a repository; empty if unavailable."""
        if self.parts:
            return {}
        folder = Path(re.sub(r"^(local-dir|local|transformers):", "", self.name)).expanduser()
        repo = re.sub(r"^(hf-hub|hub|transformers):", "", self.name)
        if there(folder) and folder.is_dir():
            with contextlib.suppress(HubtlError):
                return read_config(folder)
        elif _on_hub(repo, named=repo != self.name):
            from hubtl.backbones.hub import peek

            return peek(repo)
        return {}

    @cached_property
    def _told(self) -> tuple[str | None, tuple[str, ...]]:
        return _told_by(self.configuration)

    @property
    def takes(self) -> tuple[str, ...]:
        """Return the modalities of a folder's or Hub model beyond images alone; else none.

        For an unavailable repository it is empty: loading reports the cause.
        """
        return self._told[1]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Return the modalities that a model takes, by name and configuration: images unless they say more.

        Raises HubtlError where no package reads one of them.
        """
        found = tuple(self.parts) or self._told[1]
        if not found and (own := self._own_loader) is not None:
            found = tuple(loader(own).modalities)
        found = found or (USUAL,)
        for name in found:
            modalities.of(name, self._packages, self.name)
        return found

    @property
    def training_defaults(self) -> Mapping[str, Any]:
        """Return recipe keys that models of a kind are commonly trained with; none where strategies decide them."""
        name = self._told[0] or self._own_loader
        return dict(loader(name).training) if name in plugins.entries("backbones") else {}

    @property
    def frozen_defaults(self) -> Mapping[str, Any]:
        """Return recipe keys for a head on a frozen model. None: strategies decide."""
        name = self._told[0] or self._own_loader
        return dict(loader(name).frozen) if name in plugins.entries("backbones") else {}

    @property
    def _own_loader(self) -> str | None:
        """Return the loader of another package that the name begins with; None for any other name."""
        name = self.name.partition(":")[0]
        entry = plugins.entries("backbones").get(name)
        return None if entry is None or entry.builtin or there(self.name) else name

    @property
    def _packages(self) -> str | None:
        """Return the packages that a saved model needs beside hubtl. Its configuration names them."""
        own = self.configuration.get("hubtl")
        return " ".join(packages_in(own)) or None if isinstance(own, Mapping) and "plugins" in own else None

    @cached_property
    def loader(self) -> tuple[str, str]:
        """Return the registered loader of the name, and the name's rest.

        Raises:
            HubtlError: for a missing folder.
        """
        if self.parts:
            return fuses(self.name), self.name
        name, loaders = self.name, plugins.entries("backbones")
        scheme, colon, rest = name.partition(":")
        scheme = {"hf-hub": "hub", "local-dir": "local"}.get(scheme, scheme)
        if colon and scheme == "transformers" and not there(name):
            return "local" if Path(rest).expanduser().is_dir() else "hub", rest
        if colon and scheme in loaders and not there(name):
            return scheme, rest
        if name in loaders:
            return name, name
        if there(name) and Path(name).is_dir():
            return "local", name
        if name.startswith("timm/"):
            return "timm", name.removeprefix("timm/")
        if name.startswith((".", "/", "~")):
            raise HubtlError(
                f"there is no folder {name}", hint="give a folder that holds config.json, or a model's name"
            )
        return "hub" if _on_hub(name) else "timm", name

    def dense(self) -> "ModelRef":
        """Return the name of the dense model on this encoder; a dense model's own name stays."""
        return self if self.name.startswith(f"{DENSE}:") else ModelRef(f"{DENSE}:{self.name}")

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise HubtlError for an unknown option of the loader. The hint names the nearest one."""
        if not options:
            return
        name = self._told[0] or self.loader[0]
        known: type[BaseModel] | None = getattr(plugins.load("backbones", name), "Options", None)
        if known is None:
            own = [f"model.{key}" for key in ModelSection.model_fields if key != "options"]
            guess = nearest(f"model.{next(iter(options))}", own)
            raise HubtlError(f"{name} models have no option {next(iter(options))!r}", hint=guess or "leave it out")
        if problems := problems_of(known, name, options, "model."):
            raise HubtlError("; ".join(problems), hint=f"its options: {', '.join(known.model_fields)}")


def parts_of(name: str) -> dict[str, str]:
    """Parse ``image=NAME,text=NAME`` to a mapping; empty for another form.

    Raises:
        HubtlError: for a modality that is unknown, or given twice.
    """
    if not re.match(r"\w+=", name) or there(name):
        return {}
    parts: dict[str, str] = {}
    for part in name.split(","):
        modality, equals, model = (text.strip() for text in part.partition("="))
        if not equals or not model:
            raise HubtlError(f"--model {name}: {part!r} is not MODALITY=NAME", hint="image=NAME,text=NAME,audio=NAME")
        if modality not in modalities.registered():
            raise unknown("modality", modality, modalities.names())
        if modality in parts:
            raise HubtlError(f"--model {name}: {modality} is given twice", hint="one model for each modality")
        parts[modality] = model
    return parts


def _told_by(config: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """Return the loader of a model beyond images, and its modalities."""
    if (given := given_loader(config, {})) is not None:
        own = config.get("hubtl")
        takes = config.get("modalities") or (own.get("modalities") if isinstance(own, Mapping) else None)
        return str(given["name"]), tuple(map(str, takes)) if isinstance(takes, list) else ()
    if "model_type" in config and config["model_type"] != "timm_wrapper":
        from hubtl.backbones.transformers import modality_of

        if (found := modality_of(config["model_type"])) not in (USUAL, None):
            return "transformers", (found,)
    return None, ()


def _on_hub(name: str, *, named: bool = False) -> bool:
    """Return whether a name is a Hub id.

    An id without an owner counts if the Hub has it and timm does not, or a scheme says so.
    """
    if ":" in name or name.startswith(("timm/", ".")):
        return False
    if HUB_ID.fullmatch(name):
        return True
    if not NO_OWNER.fullmatch(name) or name in plugins.entries("backbones"):
        return False
    if named:
        return True
    from hubtl.backbones.hub import peek
    from hubtl.backbones.timm import is_architecture

    return not is_architecture(name) and "model_type" in peek(name)
