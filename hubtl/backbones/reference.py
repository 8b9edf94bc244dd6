"""What the name of a model says: which loader it is for, and what it takes. Its configuration is looked at once."""

import contextlib
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hubtl import plugins
from hubtl.backbones.packages import multimodal, native
from hubtl.backbones.saved import read_config
from hubtl.errors import HubtlError, nearest, unknown
from hubtl.recipe.reading import problems_of
from hubtl.recipe.schema import ModelSection

MODALITIES = ("image", "text", "audio")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
NO_OWNER = re.compile(r"\w[\w.-]*(@[\w./-]+)?")  # bert-base-uncased: the Hub's oldest models have none


class ModelRef:
    """A model by the name that a user gives (see ``hubtl.backbones.resolve``).

    Attributes:
        name: as it was given.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def parts(self) -> dict[str, str]:
        """The encoders that ``image=NAME,text=NAME`` names, by modality; empty for a name of another form."""
        return parts_of(self.name)

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The configuration of a folder or of a repository; empty where there is none, or it cannot be asked."""
        if self.parts:
            return {}
        folder = Path(re.sub(r"^(local-dir|local|transformers):", "", self.name)).expanduser()
        repo = re.sub(r"^(hf-hub|hub|transformers):", "", self.name)
        if folder.is_dir():
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
        """The modalities of a model in a folder or on the Hub, where they are more than images; else none.

        A repository that cannot be asked says nothing here: loading it says why.
        """
        return self._told[1]

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that a model takes, as far as name and configuration say: ``("image",)`` unless they say more.

        Raises HubtlError for texts and recordings where no package reads them.
        """
        loader, found = self._told
        if loader == "transformers":
            native(found[0], self.name)
        return tuple(self.parts) or found or ("image",)

    @property
    def training_defaults(self) -> Mapping[str, Any]:
        """Keys of a recipe that models of a kind are commonly trained with; none where strategies decide them."""
        loader, found = self._told
        return dict(native(found[0], self.name).training) if loader == "transformers" else {}

    @cached_property
    def loader(self) -> tuple[str, str]:
        """The registered loader that the name is for, and what is left of the name. Raises HubtlError for no folder."""
        if self.parts:
            multimodal()
            return "multimodal", self.name
        name, loaders = self.name, plugins.entries("backbones")
        scheme, colon, rest = name.partition(":")
        scheme = {"hf-hub": "hub", "local-dir": "local"}.get(scheme, scheme)
        if colon and scheme == "transformers" and not Path(name).exists():
            return "local" if Path(rest).expanduser().is_dir() else "hub", rest
        if colon and scheme in loaders and not Path(name).exists():
            return scheme, rest
        if name in loaders:
            return name, name
        if Path(name).is_dir():
            return "local", name
        if name.startswith("timm/"):
            return "timm", name.removeprefix("timm/")
        if name.startswith((".", "/", "~")):
            raise HubtlError(
                f"there is no folder {name}", hint="give a folder that holds config.json, or a model's name"
            )
        return "hub" if _on_hub(name) else "timm", name

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise HubtlError for an option that the loader does not have, with the nearest one."""
        if not options:
            return
        loader = self._told[0] or self.loader[0]
        known: type[BaseModel] | None = getattr(plugins.load("backbones", loader), "Options", None)
        if known is None:
            own = [f"model.{key}" for key in ModelSection.model_fields if key != "options"]
            guess = nearest(f"model.{next(iter(options))}", own)
            raise HubtlError(f"{loader} models have no option {next(iter(options))!r}", hint=guess or "leave it out")
        if problems := problems_of(known, loader, options):
            raise HubtlError("; ".join(problems), hint=f"its options: {', '.join(known.model_fields)}")


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
