"""Encode waveforms: Wav2Vec2 and HuBERT."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hubtl.errors import HubtlError
from hubtl.modalities.audio.models import SECONDS, first_token
from hubtl.modalities.audio.waveform import WaveformReader
from hubtl.modalities.native.loading import model_of, write
from hubtl.modalities.native.masks import with_first
from hubtl.modalities.native.source import Source
from hubtl.modalities.reader import Reader
from hubtl_multimodal.encoders.base import EncoderInfo, Tokens, only_what_learns, tokens_of
from hubtl_multimodal.encoders.repeated import TransformersEncoder


class Waves(TransformersEncoder):
    """Return the last hidden state, one token a step. A step of the convolutions is 20 ms when published.

    The network gets a mask if its extractor was made with one. Models with group normalisation were trained without:
    they get zeros, and their tokens depend on the amount of padding, which is equal for every row.
    """

    def __init__(self, model: Any, extractor: Any, count: int) -> None:
        super().__init__()
        self.model = model
        self._extractor, self._count = extractor, count
        self.masked = bool(extractor.return_attention_mask)
        self._needed = first_token(model.config)
        if count < self._needed:
            raise HubtlError(f"{type(model).__name__} needs {self._needed} samples", hint="more seconds")

    def forward(self, inputs: Mapping[str, Tensor]) -> Tokens:
        sound, mask = inputs["audio"], with_first(inputs["audio.mask"])
        length = mask.sum(dim=1).clamp(min=self._needed)
        heard = torch.arange(sound.shape[1], device=sound.device) < length.unsqueeze(1)
        sound = sound.masked_fill(~heard, 0.0)
        made = self.model(sound, attention_mask=heard.long() if self.masked else None).last_hidden_state
        steps = self.model._get_feat_extract_output_lengths(length).long().clamp(min=1)
        return tokens_of(made, torch.arange(made.shape[1], device=made.device) < steps.unsqueeze(1))

    def reader(self) -> Reader:
        normalise = bool(self._extractor.do_normalize)
        made = WaveformReader(int(self._extractor.sampling_rate), self._count, normalise=normalise)
        made.limit = SECONDS
        return made

    def save(self, folder: Path) -> None:
        write(self.model, folder, self._extractor)


def build(source: Source, config: Any, extractor: Any, pretrained: bool, seconds: float | None) -> Waves:
    """Build a waveform encoder.

    Raises:
        HubtlError: for missing weights and for too short a row.
    """
    from transformers import AutoModel

    config.mask_time_prob = config.mask_feature_prob = 0.0  # the readers mask; this would leave a parameter unused
    config.layerdrop = 0.0  # as would a layer left out
    rate = int(extractor.sampling_rate)
    seconds = SECONDS if seconds is None else seconds
    encoder = Waves(model_of(source, AutoModel, config, pretrained), extractor, round(seconds * rate))
    encoder.info = EncoderInfo(
        modality="audio",
        name=source.shown,
        library="transformers",
        architecture=str(config.model_type),
        width=int(getattr(config, "output_hidden_size", None) or config.hidden_size),
        pretrained=pretrained,
        input={"kind": "waveform", "rate": rate, "seconds": seconds},
        notes=() if encoder.masked else ("rows are padded with zeros and no mask, as in this model's training",),
        **(source.facts if pretrained else {}),
    )
    trial = torch.randn(1, min(encoder._count, 4 * encoder._needed), generator=torch.Generator().manual_seed(0))
    only_what_learns(encoder, {"audio": trial, "audio.mask": torch.ones_like(trial, dtype=torch.bool)})
    return encoder
