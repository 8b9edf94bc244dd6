"""Create encoders from a modality and a name, and rebuild saved ones."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hubtl.backbones.weights import check_finite
from hubtl.errors import unknown
from hubtl.modalities.native.source import Source
from hubtl_multimodal.encoders.base import ModalityEncoder
from hubtl_multimodal.encoders.names import locate, of_folder

OPTIONS = {
    "image": ("stage", "channels"),
    "text": ("max_length",),
    "audio": ("seconds", "mels", "stage"),
}
MODALITIES = tuple(OPTIONS)


def create(
    modality: str,
    name: str,
    *,
    pretrained: bool = True,
    image_size: int | None = None,
    options: Mapping[str, Any] = {},
) -> ModalityEncoder:
    """Create an encoder for ``image``, ``text`` or ``audio``.

    ``name`` is a Hub id ``user/repo[@revision]``, a folder of timm's or transformers' format, or a timm name
    (``timm/NAME`` and ``timm:NAME`` say so); for audio, a timm model reads a log-mel spectrogram. With
    ``pretrained=False`` its weights are random. No code from the Hub is run.

    Options: ``stage`` (timm: the stage whose map gives the tokens; negative ones count from the last), ``channels``
    (images: 1 or 3), ``max_length`` (text, tokens), ``seconds`` (audio: longer recordings are cut, shorter ones
    padded), ``mels`` (timm on audio: bands).

    Raises:
        HubtlError: for an unknown name or option, a model of another modality, and missing weights.
    """
    if modality not in OPTIONS:
        raise unknown("modality", modality, OPTIONS)
    for key in options:
        if key not in OPTIONS[modality]:
            raise unknown(f"option of {modality}", key, OPTIONS[modality])
    chosen = {key: value for key, value in options.items() if value is not None}
    built = _build(modality, locate(modality, name, pretrained), pretrained, image_size, chosen)
    if pretrained:
        check_finite(built.state_dict(), f"the weights of {name}", hint="download or train the model again")
    return built


def rebuild(modality: str, folder: Path, info: Mapping[str, Any]) -> ModalityEncoder:
    """Rebuild the encoder in a folder; ``info`` is its ``EncoderInfo`` as a dictionary. No network."""
    if modality not in OPTIONS:
        raise unknown("modality", modality, OPTIONS)
    source = of_folder(modality, Path(folder), str(info["name"]))
    built = _build(modality, source, True, None, dict(info["input"]), saved=True)
    check_finite(built.state_dict(), f"the weights in {folder}", hint="train or pull the model again")
    kept = ("name", "pretrained", "base_model", "revision", "license", "architecture")
    facts: dict[str, Any] = {key: info.get(key) for key in kept}
    facts["notes"] = tuple(info.get("notes") or ())
    built.info = replace(built.info, **facts)
    return built


def _build(
    modality: str, source: Source, pretrained: bool, size: int | None, options: dict[str, Any], *, saved: bool = False
) -> ModalityEncoder:
    """Build an encoder; ``options`` are the user's, or all of a saved ``EncoderInfo.input``."""
    if modality == "image" and source.library == "timm":
        from hubtl_multimodal.encoders import timm_image

        return timm_image.build(source, pretrained, size, options, saved)
    if modality == "image":
        from hubtl_multimodal.encoders import transformers_image

        return transformers_image.build(source, pretrained, size, options, saved)
    if modality == "text":
        from hubtl_multimodal.encoders import text

        return text.build(source, pretrained, options)
    if source.library == "timm":
        from hubtl_multimodal.encoders import timm_audio

        return timm_audio.build(source, pretrained, options, saved)
    from hubtl_multimodal.encoders import transformers_audio

    return transformers_audio.build(source, pretrained, options)
