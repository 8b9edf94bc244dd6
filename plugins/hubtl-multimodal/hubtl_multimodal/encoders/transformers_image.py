"""Encode images by transformers: ViT, DINOv2, CLIP's and SigLIP's image towers, and others."""

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hubtl.backbones import processors
from hubtl.backbones.base import ImageInput
from hubtl.errors import HubtlError
from hubtl.modalities.image.reader import ImageReader
from hubtl.modalities.native.loading import config_of, model_of, processor_of, without_pooler, write
from hubtl.modalities.native.positions import resampled
from hubtl.modalities.native.source import Source
from hubtl.modalities.reader import Reader
from hubtl_multimodal.encoders.base import EncoderInfo, Grid, Tokens, only_what_learns, tokens_of
from hubtl_multimodal.encoders.repeated import TransformersEncoder
from hubtl_multimodal.encoders.timm_image import spec_from

MOST_PREFIX = 8  # a class token, one for distillation, registers
TOWERS = {"clip": "CLIPVisionModel", "siglip": "SiglipVisionModel"}


class TransformersImage(TransformersEncoder):
    """Return the last hidden state: a token for each patch or place, class tokens included.

    CLIP's own model normalises only its class token; here the same layer normalises all of them.
    """

    def __init__(self, model: Any, processor: Any, spec: ImageInput) -> None:
        super().__init__()
        self.model = model
        self.spec = spec
        self._processor = processor

    def forward(self, inputs: Mapping[str, Tensor]) -> Tokens:
        made = self.model(pixel_values=inputs["image"]).last_hidden_state
        if made.ndim == 4:
            made = made.flatten(2).transpose(1, 2)
        if self.model.config.model_type == "clip_vision_model":
            made = self.model.post_layernorm(made)
        return tokens_of(made)

    @torch.no_grad()
    def grid(self, inputs: Mapping[str, Tensor]) -> Grid | None:
        made = self.model(pixel_values=inputs["image"][:1]).last_hidden_state
        if made.ndim == 4:
            return Grid(0, made.shape[2], made.shape[3], ("y", "x"))
        patch = getattr(self.model.config, "patch_size", None)
        sides = [self.spec.size // patch] if isinstance(patch, int) else []
        for side in (*sides, math.isqrt(made.shape[1])):  # the latter of a network that merges patches
            if 0 <= (prefix := made.shape[1] - side**2) <= MOST_PREFIX:
                return Grid(prefix, side, side, ("y", "x"))
        return None

    def reader(self) -> Reader:
        return ImageReader(self.spec)

    def save(self, folder: Path) -> None:
        write(self.model, folder, self._processor)


def build(
    source: Source, pretrained: bool, size: int | None, options: dict[str, Any], saved: bool
) -> TransformersImage:
    """Build an image encoder.

    Raises:
        HubtlError: for missing weights and unsupported image sizes.
    """
    import transformers

    if not saved and options:
        raise HubtlError(
            f"{source.shown} is a transformers model: {', '.join(sorted(options))} is for timm's", hint="a timm model"
        )
    config = config_of(source)
    cls: Any = transformers.AutoModel
    arguments = without_pooler(config)
    if config.model_type in TOWERS:
        cls, config = getattr(transformers, TOWERS[config.model_type]), config.vision_config
    if hasattr(config, "vision_use_head"):
        config.vision_use_head = False  # SigLIP's attention pooling
    own = _side(config)
    if size is not None and own is not None and not pretrained:
        config.image_size = size
    model = model_of(source, cls, config, pretrained, **arguments)
    if size is not None and own is not None and pretrained and size != own:
        model = _at_size(model, own, size)
    prepared = processors.prepare(_processor(source, config, size), config, blue_first=False)
    spec = spec_from(options) if saved else prepared.spec
    encoder = TransformersImage(model, prepared.processor, spec)
    pictures = torch.randn(1, spec.channels, spec.size, spec.size, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            width = encoder({"image": pictures}).values.shape[-1]
    except (RuntimeError, ValueError, TypeError) as error:
        first = " ".join(str(error).split())[:160]
        raise HubtlError(
            f"{type(model).__name__} does not take pictures of {spec.size} pixels: {first}",
            hint="another image size, or leave it out",
        ) from error
    encoder.info = EncoderInfo(
        modality="image",
        name=source.shown,
        library="transformers",
        architecture=str(config.model_type),
        width=width,
        pretrained=pretrained,
        input=spec.as_dict(),
        **(source.facts if pretrained else {}),
    )
    only_what_learns(encoder, {"image": pictures})
    return encoder


def _side(config: Any) -> int | None:
    side = getattr(config, "image_size", None)
    return int(side[0]) if isinstance(side, list | tuple) else side


def _at_size(model: Any, old: int, size: int) -> Any:
    """Return the model for another image size, with resampled positions.

    A model without learned positions takes other sizes unchanged.
    """
    config = copy.deepcopy(model.config)
    config.image_size = size
    arguments = {"add_pooling_layer": False} if getattr(model, "pooler", ...) is None else {}
    other = type(model)(config, **arguments)
    tensors = dict(model.state_dict())
    patch = getattr(config, "patch_size", None)
    for name, wanted in other.state_dict().items():
        if tensors[name].shape == wanted.shape:
            continue
        if not isinstance(patch, int) or "position" not in name:
            return model
        table = tensors[name].reshape(-1, wanted.shape[-1])
        before, after = (old // patch,) * 2, (size // patch,) * 2
        tensors[name] = resampled(table, before, after).reshape(wanted.shape)
    other.load_state_dict(tensors)
    return other


def _processor(source: Source, config: Any, size: int | None) -> Any:
    from transformers import AutoImageProcessor, ViTImageProcessor

    found = processor_of(source, AutoImageProcessor.from_pretrained, backend="pil")
    if found is None:
        side = size or _side(config) or 224
        return ViTImageProcessor(size={"height": side, "width": side})
    return processors.processor_at(found, size)
