"""Tokens of texts: the model's own tokenizer, and how many of them a row has."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hubtl.errors import HubtlError
from hubtl.modalities.native.loading import processor_of
from hubtl.modalities.native.masks import with_first
from hubtl.modalities.native.source import Source

MAX_LENGTH = 128


def tokenizer_of(source: Source) -> Any:
    """Return the model's own tokenizer, padding on the right. Raises HubtlError for a model without one."""
    from transformers import AutoTokenizer

    tokenizer = processor_of(source, AutoTokenizer.from_pretrained)
    if tokenizer is None or len(tokenizer) <= len(set(tokenizer.all_special_ids)):  # built of nothing
        raise HubtlError(
            f"{source.shown} came without a tokenizer that loads", hint="a model with its tokenizer files beside it"
        )
    tokenizer.padding_side = "right"
    return tokenizer


def cut(inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return ids and mask [b, t], cut to the batch's longest row; the same output, sooner."""
    ids, mask = inputs["text"], with_first(inputs["text.mask"])
    whole = ids.shape[1]
    used = whole if torch.compiler.is_compiling() or torch.jit.is_tracing() else int(mask.sum(dim=1).max())
    return ids[:, :used], mask[:, :used]


def longest(asked: int, tokenizer: Any, model: Any) -> int:
    """Return tokens of a row: no more than the tokenizer cuts to and the model has positions for."""
    if asked < 2:
        raise HubtlError(f"max_length is {asked}: no room for a word", hint="max_length: 128")
    return min(asked, limit(tokenizer, model))


def limit(tokenizer: Any, model: Any) -> int:
    """Return the most tokens that tokenizer and model take."""
    limits = [int(min(tokenizer.model_max_length, 2**30))]
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions and positions > 0:
        offset = getattr(getattr(model, "embeddings", None), "padding_idx", None)  # RoBERTa counts from behind it
        limits.append(int(positions) - (0 if offset is None else int(offset) + 1))
    return min(limits)
