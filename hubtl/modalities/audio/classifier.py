"""Wrap ``AutoModelForAudioClassification``: AST, Wav2Vec2, HuBERT and Whisper."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hubtl.backbones.surgery import replace
from hubtl.batch import Inputs
from hubtl.errors import HubtlError
from hubtl.modalities.audio import snippets
from hubtl.modalities.audio.extracted import ASTReader, WhisperReader
from hubtl.modalities.audio.models import (
    SECONDS,
    extractor_of,
    first_token,
    frames_of,
    heard_by_whisper,
    whole_window,
    window_of_whisper,
    with_frames,
)
from hubtl.modalities.audio.waveform import WaveformReader
from hubtl.modalities.native.backbone import NativeClassifier
from hubtl.modalities.native.masks import with_first
from hubtl.modalities.native.source import Source

SPECTRAL = ("audio-spectrogram-transformer", "whisper")
WAVES = ("wav2vec2", "hubert")
# Frames hidden and layers left out while training, of Wav2Vec2's and HuBERT's own code: views do the first, the draws
# follow no seed of the run, and short sounds or a second process break on them.
OFF = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0, "layerdrop": 0.0}
OFF_WHISPER = {"encoder_layerdrop": 0.0, "apply_spec_augment": False}


class AudioClassifier(NativeClassifier):
    """Map recordings to features."""

    modality = "audio"
    auto = ("AutoModelForAudioClassification", "AutoFeatureExtractor")

    def example(self) -> tuple[str, str]:
        spec = self.info.input.values
        opens = "import soundfile\nfrom scipy.signal import resample_poly\n\nextractor = companion"
        return f"{opens}\n{snippets.inputs(spec)}", snippets.logits(spec)


class ASTClassifier(AudioClassifier):
    """Map the whole spectrogram, its padding included, to features: AST knows no mask."""

    reader: ASTReader

    def given(self, inputs: Inputs) -> dict[str, Any]:
        mask = with_first(inputs["audio.mask"]).unsqueeze(-1)
        floor = -self.companion.mean / (2 * self.companion.std) if self.companion.do_normalize else 0.0
        return {"input_values": torch.where(mask, inputs["audio"], floor)}


class WhisperClassifier(AudioClassifier):
    """Map the whole window, silence included, to features; the model averages over it."""

    def given(self, inputs: Inputs) -> dict[str, Any]:
        return {"input_features": whole_window(inputs, self.model.config)}


class WaveClassifier(AudioClassifier):
    """Map the waveform to features.

    A model whose extractor returns no mask was trained without padding, which would change its outputs. Its rows go
    through by their lengths, none of them padded, as the library's pipeline processes one file.
    """

    graph_lengths = {"input_values": {1: "samples"}, "attention_mask": {1: "samples"}}

    @property
    def graph_mixes(self) -> bool:  # type: ignore[override]
        return bool(self.companion.return_attention_mask)

    def given(self, inputs: Inputs) -> dict[str, Any]:
        sound, heard = _heard(inputs, first_token(self.model.config))
        length = heard.shape[1]
        if not torch.compiler.is_compiling():
            length = int(heard.sum(dim=1).max())
        sound, heard = sound[:, :length], heard[:, :length]
        masked = bool(self.companion.return_attention_mask)
        return {"input_values": sound, "attention_mask": heard.long() if masked else None}

    def logits(self, inputs: Inputs) -> Tensor:
        if self.companion.return_attention_mask or self.modality not in inputs:
            return super().logits(inputs)
        lengths = inputs["audio.mask"].sum(dim=1)
        found: list[Tensor] = []
        places: list[Tensor] = []
        for length in lengths.unique():
            at = torch.nonzero(lengths == length).flatten()
            found.append(super().logits({key: value[at] for key, value in inputs.items() if key.startswith("audio")}))
            places.append(at)
        return torch.cat(found)[torch.cat(places).argsort()]


def _heard(inputs: Mapping[str, Tensor], needed: int) -> tuple[Tensor, Tensor]:
    """Return sound [b, samples], zero after its end, and its mask; the first token's are always True."""
    sound = inputs["audio"]
    length = inputs["audio.mask"].sum(dim=1).clamp(min=needed)
    heard = torch.arange(sound.shape[1], device=sound.device) < length.unsqueeze(1)
    return sound.masked_fill(~heard, 0.0), heard


def prepared(source: Source, config: Any, pretrained: bool, asked: float | None) -> Any:
    """Return the feature extractor; for random weights with the length of its spectrogram.

    Raises:
        HubtlError: for other types.
    """
    kind = config.model_type
    if kind not in (*SPECTRAL, *WAVES):
        raise HubtlError(
            f"{source.shown}: audio models of the type {kind} are not taken whole; known: {', '.join((*SPECTRAL, *WAVES))}",
            hint=f"AST, Wav2Vec2, HuBERT or Whisper; or --model audio={source.shown}",
        )
    if kind == SPECTRAL[0] and asked is not None and not pretrained:
        config.max_length = frames_of(config, asked)
    return extractor_of(source)


def switched_off(config: Any, *, built: bool) -> dict[str, Any]:
    """Switch off parts of a model's training that a run forbids; return their values.

    Whisper reads them while it is built, Wav2Vec2 and HuBERT only afterwards: before, they would lack a parameter.
    """
    off = OFF if config.model_type in WAVES and built else {}
    off = OFF_WHISPER if config.model_type == "whisper" and not built else off
    was = {key: getattr(config, key) for key in off}
    for key, value in off.items():
        setattr(config, key, value)
    return was


def passing(model: Any, missing: list[str]) -> list[str]:
    """Replace an untrained projector by the identity. The mean over time keeps its full width.

    Returns the parameters that are still random. The library would draw a projection to ``classifier_proj_size``, from
    which a frozen encoder's features would not recover.
    """
    if "projector.weight" not in missing:
        return missing
    width = model.projector.in_features
    with torch.no_grad():
        model.projector = nn.Linear(width, width)
        nn.init.eye_(model.projector.weight)
        nn.init.zeros_(model.projector.bias)
    model.classifier = nn.Linear(width, model.classifier.out_features)
    model.config.classifier_proj_size = width
    return [name for name in missing if not name.startswith("projector.")]


def wrapped(
    source: Source, model: Any, classifier: str, extractor: Any, asked: float | None
) -> tuple[AudioClassifier, dict[str, Any]]:
    """Return the backbone with its classifier, and the facts on its input."""
    config, rate = model.config, int(extractor.sampling_rate)
    if config.model_type == SPECTRAL[0]:
        own = int(config.max_length)
        frames = own if asked is None else frames_of(config, asked)
        if frames != own:
            trunk = with_frames(model.base_model, frames)
            replace(model, model.base_model_prefix, trunk)
            config.max_length = frames
        listens = ASTReader(extractor, frames)
        listens.limit = ASTReader(extractor, own).longest
        return ASTClassifier(model, classifier, listens, listens.extractor), _input(rate, listens.longest)
    if config.model_type == "whisper":
        seconds = heard_by_whisper(source, config, extractor, asked)
        hears = WhisperReader(extractor, seconds)
        hears.limit = window_of_whisper(config, extractor)
        return WhisperClassifier(model, classifier, hears, extractor), _input(rate, seconds)
    seconds = SECONDS if asked is None else float(asked)
    count = round(seconds * rate)
    if count < first_token(config):
        raise HubtlError(f"{source.shown} needs {first_token(config)} samples", hint="more --set model.seconds=…")
    reader = WaveformReader(rate, count, normalise=bool(extractor.do_normalize))
    reader.limit = SECONDS
    return WaveClassifier(model, classifier, reader, extractor), _input(rate, seconds)


def _input(rate: int, seconds: float) -> dict[str, Any]:
    return {"rate": rate, "seconds": float(seconds)}
