"""Find loaders of other packages: for several modalities, texts and recordings."""

from typing import Any

from hubtl import plugins
from hubtl.errors import HubtlError


def multimodal() -> Any:
    """Return the loader of multimodal models.

    Raises:
        HubtlError: where no package provides one.
    """
    if "multimodal" not in plugins.entries("backbones"):
        raise HubtlError(
            "models of several modalities come with hubtl-multimodal, which is not installed",
            hint="pip install hubtl-multimodal",
        )
    return plugins.load("backbones", "multimodal")


def native(modality: str, shown: str) -> Any:
    """Return the loader of transformers' classifiers of texts and recordings.

    Raises:
        HubtlError: where no package provides one.
    """
    if "transformers" not in plugins.entries("backbones"):
        a = "an" if modality[0] in "aeiou" else "a"
        raise HubtlError(
            f"{shown} is {a} {modality} model, and what reads {modality} comes with hubtl-multimodal, "
            "which is not installed",
            hint="pip install hubtl-multimodal",
        )
    return plugins.load("backbones", "transformers")
