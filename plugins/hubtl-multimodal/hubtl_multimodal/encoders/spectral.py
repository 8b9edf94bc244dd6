"""Encode spectrograms of the model's own kind: AST, Whisper's encoder, CLAP's audio tower."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from hubtl.errors import HubtlError
from hubtl.modalities.audio.extracted import ASTReader, ClapReader, WhisperReader
from hubtl.modalities.audio.models import (
    SECONDS,
    frames_of,
    heard_by_whisper,
    patches,
    side,
    whole_window,
    window_of_whisper,
    with_frames,
)
from hubtl.modalities.audio.spectrogram import SpectrogramReader
from hubtl.modalities.native.loading import model_of, write
from hubtl.modalities.native.masks import with_first
from hubtl.modalities.native.source import Source
from hubtl_multimodal.encoders.base import EncoderInfo, Grid, Tokens, only_what_learns, tokens_of
from hubtl_multimodal.encoders.repeated import TransformersEncoder

FUSION = r"\.(fusion_model|mel_conv2d)\."  # of CLAP's several crops


class Spectral(TransformersEncoder):
    """Share a reader around the model's own feature extractor. It is saved beside the model."""

    def __init__(self, model: Any, listens: SpectrogramReader) -> None:
        super().__init__()
        self.model = model
        self._reader: Any = listens

    def reader(self) -> SpectrogramReader:
        reader: SpectrogramReader = self._reader
        return reader

    def save(self, folder: Path) -> None:
        write(self.model, folder, self._reader.extractor)


class AST(Spectral):
    """Return two class tokens, then the patches. Patches run from low to high bands, each in time order.

    Patches without sound are masked in the attention, unlike in AST's own code: there a second of sound among ten of
    padding is encoded badly.
    """

    def forward(self, inputs: Mapping[str, Tensor]) -> Tokens:
        config, mask = self.model.config, with_first(inputs["audio.mask"])
        heard = torch.where(mask.unsqueeze(-1), inputs["audio"], self._reader.padding(None))
        high, _ = patches(config, config.max_length)
        times = mask.float().unfold(1, side(config, 1), config.time_stride).amax(dim=-1) > 0
        places = torch.cat([times.new_ones(times.shape[0], 2), times.repeat(1, high)], dim=1)
        made = self.model(heard, attention_mask=places.long()).last_hidden_state
        return tokens_of(made, places)

    def grid(self, inputs: Mapping[str, Tensor]) -> Grid:
        return Grid(2, *patches(self.model.config, self.model.config.max_length), ("frequency", "time"))


def build_ast(source: Source, config: Any, extractor: Any, pretrained: bool, seconds: float | None) -> AST:
    """Build an AST; ``seconds`` set the number of frames, by default the model's own.

    Positions of a shorter spectrogram are the first ones in time; for a longer one they are resampled.
    """
    from transformers import AutoModel

    own = int(config.max_length)
    frames = own if seconds is None else frames_of(config, seconds)
    if not pretrained:
        config.max_length = frames
    model = model_of(source, AutoModel, config, pretrained)
    if int(model.config.max_length) != frames:
        model = with_frames(model, frames)
    encoder = AST(model, ASTReader(extractor, frames))
    encoder.reader().limit = ASTReader(extractor, own).longest
    return _described(encoder, source, pretrained, int(config.hidden_size), {"kind": "ast", "frames": frames})


class Whisper(Spectral):
    """Return the encoder's last hidden state, without padding. It has one token for two frames.

    Whisper attends to the silence after the sound, as in its training. It is equal for every row.
    """

    def forward(self, inputs: Mapping[str, Tensor]) -> Tokens:
        mask = with_first(inputs["audio.mask"])
        made = self.model(whole_window(inputs, self.model.config)).last_hidden_state
        steps = F.pad(mask, (0, mask.shape[1] % 2)).unflatten(1, (-1, 2)).any(dim=-1)
        return tokens_of(made[:, : steps.shape[1]], steps)

    def grid(self, inputs: Mapping[str, Tensor]) -> Grid:
        return Grid(0, -(-inputs["audio"].shape[1] // 2), 1, ("time", "frequency"))

    def save(self, folder: Path) -> None:
        """Save a WhisperModel with an empty decoder, which AutoModel loads: its ``encoder`` is this one."""
        from transformers import WhisperModel

        config = copy.deepcopy(self.model.config)
        config.decoder_layers, config.vocab_size, config.max_target_positions = 0, 2, 1
        config.pad_token_id = config.bos_token_id = config.eos_token_id = config.decoder_start_token_id = 0
        config.suppress_tokens = config.begin_suppress_tokens = None
        whole = WhisperModel(config)
        whole.encoder = self.model
        write(whole, folder, self._reader.extractor)


def build_whisper(source: Source, config: Any, extractor: Any, pretrained: bool, seconds: float | None) -> Whisper:
    from transformers import WhisperModel

    config.encoder_layerdrop = 0.0  # a layer left out would be one without a gradient
    seconds = heard_by_whisper(source, config, extractor, seconds)
    model = model_of(source, WhisperModel, config, pretrained, may_lack="decoder.").encoder
    model.embed_positions.requires_grad_(False)  # sines
    encoder = Whisper(model, WhisperReader(extractor, seconds))
    encoder.reader().limit = window_of_whisper(config, extractor)
    return _described(encoder, source, pretrained, int(config.d_model), {"kind": "whisper", "seconds": seconds})


class Clap(Spectral):
    """Return the audio tower's map before pooling. It is in time order, bands side by side."""

    def forward(self, inputs: Mapping[str, Tensor]) -> Tokens:
        mask = with_first(inputs["audio.mask"])
        heard = torch.where(mask.unsqueeze(-1), inputs["audio"], self._reader.padding(None))
        made = self.model(input_features=heard.unsqueeze(1)).last_hidden_state
        times = F.adaptive_max_pool1d(mask.float().unsqueeze(1), made.shape[3]).squeeze(1) > 0
        return tokens_of(made.permute(0, 3, 2, 1).flatten(1, 2), times.repeat_interleave(made.shape[2], dim=1))

    @torch.no_grad()
    def grid(self, inputs: Mapping[str, Tensor]) -> Grid:
        made = self.model(input_features=inputs["audio"][:1].unsqueeze(1)).last_hidden_state
        return Grid(0, made.shape[3], made.shape[2], ("time", "frequency"))


def build_clap(source: Source, config: Any, extractor: Any, pretrained: bool, seconds: float | None) -> Clap:
    """Build CLAP's audio tower. It cuts a sound to the window instead of fusing several crops."""
    from transformers import ClapAudioModel, ClapModel

    limit = float(extractor.nb_max_samples / extractor.sampling_rate)
    seconds = min(SECONDS, limit) if seconds is None else seconds
    if seconds > limit:
        raise HubtlError(f"{source.shown} hears {limit:g} seconds, not {seconds:g}", hint=f"seconds: {limit:g}")
    tower = getattr(config, "audio_config", config)
    tower.enable_fusion = False
    if tower is config:
        model = model_of(source, ClapAudioModel, config, pretrained, idle=FUSION)
    else:
        model = model_of(source, ClapModel, config, pretrained, idle=FUSION).audio_model
    encoder = Clap(model, ClapReader(extractor, seconds))
    encoder.reader().limit = limit
    width = int(tower.patch_embeds_hidden_size * 2 ** (len(tower.depths) - 1))
    return _described(encoder, source, pretrained, width, {"kind": "clap", "seconds": seconds})


E = TypeVar("E", bound=Spectral)


def _described(encoder: E, source: Source, pretrained: bool, width: int, made_with: dict[str, Any]) -> E:
    encoder.info = EncoderInfo(
        modality="audio",
        name=source.shown,
        library="transformers",
        architecture=str(encoder.model.config.model_type),
        width=width,
        pretrained=pretrained,
        input={**made_with, "rate": encoder.reader().rate},
        **(source.facts if pretrained else {}),
    )
    only_what_learns(encoder, None)
    return encoder
