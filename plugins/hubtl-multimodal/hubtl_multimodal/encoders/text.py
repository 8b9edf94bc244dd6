"""Encode texts by transformers: BERT, MiniLM, DistilBERT, RoBERTa, DeBERTa and others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hubtl.errors import HubtlError
from hubtl.modalities.native.loading import config_of, model_of, without_pooler, write
from hubtl.modalities.native.masks import with_first
from hubtl.modalities.native.source import Source
from hubtl.modalities.reader import Reader
from hubtl.modalities.text.reader import TextReader
from hubtl.modalities.text.tokens import MAX_LENGTH, cut, limit, longest, tokenizer_of
from hubtl_multimodal.encoders.base import EncoderInfo, Tokens, only_what_learns, tokens_of
from hubtl_multimodal.encoders.repeated import TransformersEncoder


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
        return TextReader(self._tokenizer, self._length, limit(self._tokenizer, self.model))

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
