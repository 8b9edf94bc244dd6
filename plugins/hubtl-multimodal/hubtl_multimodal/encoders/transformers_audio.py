"""Encode audio by transformers: AST, Wav2Vec2, HuBERT, Whisper's encoder and CLAP."""

from typing import Any

from hubtl.errors import HubtlError
from hubtl.modalities.audio.models import extractor_of
from hubtl.modalities.native.loading import config_of
from hubtl.modalities.native.source import Source
from hubtl_multimodal.encoders import spectral, waves
from hubtl_multimodal.encoders.base import ModalityEncoder

BUILDERS = {
    "audio-spectrogram-transformer": spectral.build_ast,
    "whisper": spectral.build_whisper,
    "clap": spectral.build_clap,
    "clap_audio_model": spectral.build_clap,
    "wav2vec2": waves.build,
    "hubert": waves.build,
}


def build(source: Source, pretrained: bool, options: dict[str, Any]) -> ModalityEncoder:
    """Build an audio encoder; ``options`` are ``seconds``, or all of a saved encoder's input.

    Raises:
        HubtlError: for missing weights, another kind of model, and one without its feature extractor.
    """
    for key in ("stage", "mels"):
        if key in options:
            raise HubtlError(f"{source.shown} is a transformers model: {key} is for timm's", hint="a timm model")
    config = config_of(source)
    if config.model_type not in BUILDERS:
        raise HubtlError(
            f"audio models of the type {config.model_type} are not taken; known: {', '.join(sorted(BUILDERS))}",
            hint="AST, Wav2Vec2, HuBERT, Whisper or CLAP",
        )
    extractor = extractor_of(source)
    seconds = options.get("seconds")
    return BUILDERS[config.model_type](
        source, config, extractor, pretrained, None if seconds is None else float(seconds)
    )
