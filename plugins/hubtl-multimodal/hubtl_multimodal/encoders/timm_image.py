"""Encode images by timm's models."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hubtl.backbones.base import ImageInput
from hubtl.backbones.timm import data_config
from hubtl.errors import HubtlError
from hubtl.modalities.image.reader import ImageReader
from hubtl.modalities.native.source import Source
from hubtl.modalities.reader import Reader
from hubtl_multimodal.encoders.base import EncoderInfo, Grid, Tokens, only_what_learns, tokens_of
from hubtl_multimodal.encoders.timm_maps import TimmEncoder, facts, load


class TimmImage(TimmEncoder):
    """Return the map before pooling or a stage's, one token a place; class tokens first."""

    def __init__(self, model: Any, stage: int | None, spec: ImageInput) -> None:
        super().__init__(model, stage)
        self.spec = spec

    def forward(self, inputs: Mapping[str, Tensor]) -> Tokens:
        return tokens_of(self.look(inputs["image"])[0])

    def grid(self, inputs: Mapping[str, Tensor]) -> Grid | None:
        return self.lies(inputs["image"], ("y", "x"))

    def reader(self) -> Reader:
        return ImageReader(self.spec)

    def save(self, folder: Path) -> None:
        self.write(folder, data_config(self.spec))


def build(source: Source, pretrained: bool, size: int | None, options: dict[str, Any], saved: bool) -> TimmImage:
    """Build an image encoder.

    Raises:
        HubtlError: for missing weights and unsupported image sizes.
    """
    if saved:
        model = load(source, pretrained, channels=None, size=None)
        spec = spec_from(options)
    else:
        if (channels := options.get("channels")) not in (None, 1, 3):
            raise HubtlError(f"pictures of {channels} channels are not read", hint="channels: 1 or 3")
        model = load(source, pretrained, channels=channels, size=size)
        spec = _spec(model, channels, size)
    encoder = TimmImage(model, options.get("stage"), spec)
    pictures = torch.randn(1, spec.channels, spec.size, spec.size, generator=torch.Generator().manual_seed(0))
    width, _ = encoder.try_on(pictures, "another --image-size, or leave it out")
    encoder.info = EncoderInfo(
        modality="image",
        name=source.shown,
        library="timm",
        width=width,
        pretrained=pretrained,
        input={**spec.as_dict(), "stage": encoder.stage},
        **facts(source, model, pretrained),
    )
    only_what_learns(encoder, {"image": pictures})
    return encoder


def _spec(model: Any, channels: int | None, size: int | None) -> ImageInput:
    from timm.data import resolve_model_data_config

    data = resolve_model_data_config(model)
    channels = channels or int(data["input_size"][0])
    mean, std = tuple(data["mean"]), tuple(data["std"])
    if len(mean) != channels:
        mean, std = (sum(mean) / len(mean),) * channels, (sum(std) / len(std),) * channels
    return ImageInput(
        size=size or int(data["input_size"][-1]),
        channels=channels,
        mean=mean,
        std=std,
        interpolation=str(data["interpolation"]),
        crop_pct=float(data["crop_pct"]) if size is None else 1.0,
        crop_mode="squash" if data.get("crop_mode") == "squash" else "center",
    )


def spec_from(saved: Mapping[str, Any]) -> ImageInput:
    """Return the ImageInput in an ``EncoderInfo.input``."""
    names = {f.name for f in dataclasses.fields(ImageInput)}
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items() if k in names}
    return ImageInput(**given)
