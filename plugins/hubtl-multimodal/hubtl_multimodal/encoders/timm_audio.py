"""Encode log-mel spectrograms by timm's image models: one channel, time from top to bottom."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hubtl.errors import HubtlError
from hubtl.modalities.audio.spectrogram import LogMelReader, frames_in
from hubtl.modalities.native.source import Source
from hubtl.modalities.reader import Reader
from hubtl_multimodal.encoders.base import EncoderInfo, Grid, Tokens, only_what_learns, tokens_of
from hubtl_multimodal.encoders.timm_maps import TimmEncoder, facts, load

SECONDS = 10.0
MELS = 64
MEAN, STD = -2.5, 2.5  # of log(mel + 0.001) of speech, for models that came with no such numbers


class TimmAudio(TimmEncoder):
    """Return the map's places in time order, from low to high; a place is real where sound is.

    Frames without sound are set to the logarithm's floor, so that padding does not matter.
    """

    def __init__(self, model: Any, stage: int | None, listens: LogMelReader) -> None:
        super().__init__(model, stage)
        self._reader = listens
        self._floor = (listens.floor - listens.mean) / listens.std

    def forward(self, inputs: Mapping[str, Tensor]) -> Tokens:
        mask = inputs["audio.mask"]
        heard = torch.where(mask.unsqueeze(-1), inputs["audio"], self._floor)
        made, grid = self.look(heard.unsqueeze(1))
        if grid is None:
            raise HubtlError(f"{type(self.model).__name__} makes no map of time", hint="another model, or its stage")
        times = F.adaptive_max_pool1d(mask.float().unsqueeze(1), grid[0]).squeeze(1) > 0
        places = times.repeat_interleave(grid[1], dim=1)
        prefix = places.new_ones(places.shape[0], self.prefix)
        return tokens_of(made, torch.cat([prefix, places], dim=1))

    def grid(self, inputs: Mapping[str, Tensor]) -> Grid | None:
        return self.lies(inputs["audio"].unsqueeze(1), ("time", "frequency"))

    def reader(self) -> Reader:
        return self._reader

    def save(self, folder: Path) -> None:
        listens = self._reader
        data = {"input_size": (1, listens.frames, listens.mels), "mean": (listens.mean,), "std": (listens.std,)}
        self.write(folder, data)


def build(source: Source, pretrained: bool, options: dict[str, Any], saved: bool) -> TimmAudio:
    """Build an encoder; ``options`` are ``seconds``, ``mels`` and ``stage``, or a saved input.

    A one-channel model declares its frames, bands and normalisation. For one with patches, the frames are padded to
    whole patches.
    """
    if saved:
        model = load(source, pretrained, channels=None, size=None)
        listens = LogMelReader(options["frames"], options["mels"], mean=options["mean"], std=options["std"])
    else:
        own = _own_input(source)
        mels = int(options.get("mels") or (own["input_size"][2] if own else MELS))
        seconds = options.get("seconds")
        frames = frames_in(float(seconds or SECONDS)) if seconds or not own else int(own["input_size"][1])
        model = load(source, pretrained, channels=1, size=(frames, mels))
        if rest := frames % _patch(model):
            frames += _patch(model) - rest
            model = load(source, pretrained, channels=1, size=(frames, mels))
        mean, std = (own["mean"][0], own["std"][0]) if own else (MEAN, STD)
        listens = LogMelReader(frames, mels, mean=float(mean), std=float(std))
        listens.limit = SECONDS
    encoder = TimmAudio(model, options.get("stage"), listens)
    width, grid = encoder.try_on(torch.zeros(1, 1, listens.frames, listens.mels), "other seconds or mels, or a CNN")
    if grid is None:
        raise HubtlError(f"{source.shown} makes no map of time", hint="another model, or a stage of it")
    encoder.info = EncoderInfo(
        modality="audio",
        name=source.shown,
        library="timm",
        width=width,
        pretrained=pretrained,
        input={
            "kind": "log-mel",
            "rate": listens.rate,
            "frames": listens.frames,
            "mels": listens.mels,
            "mean": listens.mean,
            "std": listens.std,
            "stage": encoder.stage,
        },
        **facts(source, model, pretrained),
    )
    noise = torch.randn(1, listens.frames, listens.mels, generator=torch.Generator().manual_seed(0))
    only_what_learns(encoder, {"audio": noise, "audio.mask": torch.ones(1, listens.frames, dtype=torch.bool)})
    return encoder


def _patch(model: Any) -> int:
    size = getattr(getattr(model, "patch_embed", None), "patch_size", 1)
    return int(size[0] if isinstance(size, tuple | list) else size)


def _own_input(source: Source) -> dict[str, Any] | None:
    """Return a spectrogram model's own input; None for a model of pictures."""
    if source.config:
        found = source.config.get("pretrained_cfg") or source.config
    else:
        from timm.models import get_pretrained_cfg

        configuration = get_pretrained_cfg(source.where)
        found = configuration.to_dict() if configuration else {}
    size = found.get("input_size")
    return dict(found) if size and size[0] == 1 else None
