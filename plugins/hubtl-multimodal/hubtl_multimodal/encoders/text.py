"""Encode texts by transformers: BERT, MiniLM, DistilBERT, RoBERTa, DeBERTa and others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hubtl.errors import HubtlError
from hubtl_multimodal.encoders.base import EncoderInfo, Tokens, only_what_learns, tokens_of, with_first
from hubtl_multimodal.encoders.loading import config_of, model_of, processor_of, without_pooler, write
from hubtl_multimodal.encoders.names import Source
from hubtl_multimodal.encoders.repeated import TransformersEncoder
from hubtl_multimodal.inputs.base import Reader
from hubtl_multimodal.inputs.text import TextReader

MAX_LENGTH = 128


class Text(TransformersEncoder):
    """Return the last hidden state of each token.

    A batch is cut to its longest row before the network, and its tokens are padded again: equal outputs, faster.
    """

    def __init__(self, model: Any, tokenizer: Any, length: int) -> None:
        super().__init__()
        self.model = model
        self._tokenizer, self._length = tokenizer, length

    def forward(self, inputs: Mapping[str, Tensor]) -> Tokens:
        ids, seen = cut(inputs)
        made = self.model(input_ids=ids, attention_mask=seen.long()).last_hidden_state
        lost = inputs["text"].shape[1] - ids.shape[1]
        return tokens_of(F.pad(made, (0, 0, 0, lost)), with_first(inputs["text.mask"]))

    def reader(self) -> Reader:
        return TextReader(self._tokenizer, self._length)

    def save(self, folder: Path) -> None:
        write(self.model, folder, self._tokenizer)


def build(source: Source, pretrained: bool, options: dict[str, Any]) -> Text:
    """Build a text encoder.

    Raises:
        HubtlError: for missing weights, a model without its tokenizer, and one with a decoder.
    """
    from transformers import AutoModel

    config = config_of(source)
    if getattr(config, "is_encoder_decoder", False):
        raise HubtlError(
            f"{source.shown} is an encoder with a decoder; its tokens are not taken", hint="an encoder such as BERT"
        )
    tokenizer = tokenizer_of(source)
    model = model_of(source, AutoModel, config, pretrained, **without_pooler(config))
    length = longest(int(options.get("max_length") or MAX_LENGTH), tokenizer, model)
    encoder = Text(model, tokenizer, length)
    few = min(4, length)
    trial = {"text": torch.arange(few).unsqueeze(0), "text.mask": torch.ones(1, few, dtype=torch.bool)}
    with torch.no_grad():
        width = encoder(trial).values.shape[-1]
    encoder.info = EncoderInfo(
        modality="text",
        name=source.shown,
        library="transformers",
        architecture=str(config.model_type),
        width=width,
        pretrained=pretrained,
        input={"max_length": length},
        **(source.facts if pretrained else {}),
    )
    only_what_learns(encoder, trial)
    return encoder


def tokenizer_of(source: Source) -> Any:
    """Return the model's own tokenizer, padding on the right.

    Raises:
        HubtlError: for a model without one.
    """
    from transformers import AutoTokenizer

    tokenizer = processor_of(source, AutoTokenizer.from_pretrained)
    if tokenizer is None or len(tokenizer) <= len(set(tokenizer.all_special_ids)):  # built of nothing
        raise HubtlError(
            f"{source.shown} came without a tokenizer that loads", hint="a model with its tokenizer files beside it"
        )
    tokenizer.padding_side = "right"
    return tokenizer


def cut(inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Cut ids and mask [b, t] of a batch to its longest row: equal outputs, faster."""
    ids, mask = inputs["text"], with_first(inputs["text.mask"])
    whole = ids.shape[1]
    used = whole if torch.compiler.is_compiling() or torch.jit.is_tracing() else int(mask.sum(dim=1).max())
    return ids[:, :used], mask[:, :used]


def longest(asked: int, tokenizer: Any, model: Any) -> int:
    """Return the tokens of a row, at most the tokenizer's limit and the model's positions."""
    if asked < 2:
        raise HubtlError(f"max_length is {asked}: no room for a word", hint="max_length: 128")
    limits = [asked, int(min(tokenizer.model_max_length, 2**30))]
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions and positions > 0:
        offset = getattr(getattr(model, "embeddings", None), "padding_idx", None)  # RoBERTa counts from behind it
        limits.append(int(positions) - (0 if offset is None else int(offset) + 1))
    return min(limits)
