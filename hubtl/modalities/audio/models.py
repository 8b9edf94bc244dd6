"""Measure what the published audio models are made for: seconds, frames and patches."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hubtl.errors import HubtlError
from hubtl.modalities.audio.spectrogram import frames_in
from hubtl.modalities.native.loading import processor_of
from hubtl.modalities.native.masks import with_first
from hubtl.modalities.native.positions import resampled
from hubtl.modalities.native.source import Source

SECONDS = 10.0


def extractor_of(source: Source) -> Any:
    """Return the model's own feature extractor. Raises HubtlError for a model without one."""
    from transformers import AutoFeatureExtractor

    extractor = processor_of(source, AutoFeatureExtractor.from_pretrained)
    if extractor is None:
        raise HubtlError(
            f"{source.shown} came without a feature extractor that loads",
            hint="a model with its preprocessor_config.json beside it",
        )
    return extractor


def frames_of(config: Any, seconds: float) -> int:
    """Return an AST's number of frames for so much sound. One patch is the least."""
    return max(side(config, 1), frames_in(seconds))


def with_frames(model: Any, frames: int) -> Any:
    """Return the same ASTModel for spectrograms of another length."""
    config = copy.deepcopy(model.config)
    config.max_length = frames
    other = type(model)(config)
    tensors = dict(model.state_dict())
    name = "embeddings.position_embeddings"
    old, new = patches(config, model.config.max_length), patches(config, frames)
    table = tensors[name][0]
    if new[1] <= old[1]:
        grid = table[2:].reshape(*old, -1)[:, : new[1]]
        tensors[name] = torch.cat([table[:2], grid.flatten(0, 1)]).unsqueeze(0)
    else:
        tensors[name] = resampled(table, old, new).unsqueeze(0)
    other.load_state_dict(tensors)
    return other


def patches(config: Any, frames: int) -> tuple[int, int]:
    """Return patches (bands, times) of a spectrogram."""
    high = (config.num_mel_bins - side(config, 0)) // config.frequency_stride + 1
    return high, (frames - side(config, 1)) // config.time_stride + 1


def side(config: Any, axis: int) -> int:
    size = config.patch_size
    return int(size[axis] if isinstance(size, list | tuple) else size)


def whole_window(inputs: Mapping[str, Tensor], config: Any) -> Tensor:
    """Return a batch in Whisper's whole window.

    Its shape is [b, mels, frames]; silence follows each sound, as its extractor pads.
    """
    mask = with_first(inputs["audio.mask"])
    loudest = inputs["audio"].masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(dim=(1, 2), keepdim=True)
    silence = (loudest - 2).clamp(min=-1.5)
    heard = torch.where(mask.unsqueeze(-1), inputs["audio"], silence)
    rest = 2 * config.max_source_positions - heard.shape[1]
    return torch.cat([heard, silence.expand(-1, rest, heard.shape[2])], dim=1).transpose(1, 2)


def heard_by_whisper(source: Source, config: Any, extractor: Any, asked: float | None) -> float:
    """Return seconds that are heard. Raises HubtlError for more than the model's window."""
    limit = window_of_whisper(config, extractor)
    seconds = min(SECONDS, limit) if asked is None else asked
    if seconds > limit:
        raise HubtlError(f"{source.shown} hears {limit:g} seconds, not {seconds:g}", hint=f"seconds: {limit:g}")
    return float(seconds)


def window_of_whisper(config: Any, extractor: Any) -> float:
    """Return the seconds of the model's window."""
    return float(2 * config.max_source_positions * extractor.hop_length / extractor.sampling_rate)


def first_token(config: Any) -> int:
    """Return samples that the first token takes."""
    needed = 1
    for kernel, stride in reversed(list(zip(config.conv_kernel, config.conv_stride, strict=True))):
        needed = (needed - 1) * stride + kernel
    return needed
