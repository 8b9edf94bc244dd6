"""Define the contract of an encoder: inputs of one modality in, tokens out."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from hubtl.modalities.native.blocks import ATTENTION
from hubtl.modalities.native.masks import with_first
from hubtl.modalities.reader import Reader


class Tokens(NamedTuple):
    """Hold the tokens of an encoder."""

    values: Tensor  # [b, t, d]
    mask: Tensor  # [b, t] bool, True where a token is real; the first one always is


@dataclass(frozen=True)
class EncoderInfo:
    """Hold JSON-able facts on an encoder; with its saved folder they rebuild it."""

    modality: str  # image, text, audio
    name: str  # as the user gave it
    library: Literal["timm", "transformers"]
    architecture: str
    width: int  # d of the tokens
    pretrained: bool
    base_model: str | None = None  # Hub id
    revision: str | None = None
    license: str | None = None
    input: dict[str, Any] = field(default_factory=dict)  # what the reader needs, but for a tokenizer's vocabulary
    notes: tuple[str, ...] = ()


class Grid(NamedTuple):
    """Describe the layout of tokens: prefix tokens first, then a map row by row."""

    prefix: int
    rows: int
    columns: int
    axes: tuple[str, str]  # what rows and columns are: ("y", "x"), ("time", "frequency")


class ModalityEncoder(nn.Module):
    """Run a pretrained model of one modality. Parts that its tokens do not need are left out.

    All of its parameters take part in every forward pass. Other tensors of the library's own format are kept as
    buffers: they are saved with the rest, and neither optimised nor synchronised.
    """

    info: EncoderInfo
    model: Any  # the library's module

    @abstractmethod
    def forward(self, inputs: Mapping[str, Tensor]) -> Tokens:
        """Return the tokens of a batch; in eval mode rows are independent. Padding is zero."""

    @abstractmethod
    def reader(self) -> Reader:
        """Return the reader that makes this encoder's inputs of cells."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model in its library's own format, with its preprocessing."""

    @abstractmethod
    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        """Return the parameters in named blocks from the input to the output."""

    def grid(self, inputs: Mapping[str, Tensor]) -> Grid | None:
        """Return the layout of such inputs' tokens, for drawing; None: a sequence."""
        return None

    def lora_targets(self) -> list[str]:
        """Return names of the linear layers that LoRA adapts: queries and values, else all.

        For a CNN they are its convolutions.
        """
        linear = [n for n, m in self.named_modules() if isinstance(m, nn.Linear) and any(True for _ in m.parameters())]
        if chosen := [name for name in linear if ATTENTION.search(f".{name}")]:
            return chosen
        return linear or [
            n
            for n, m in self.named_modules()
            if isinstance(m, nn.Conv2d) and m.groups == 1 and any(True for _ in m.parameters())
        ]


def tokens_of(values: Tensor, mask: Tensor | None = None) -> Tokens:
    """Return tokens [b, t, d] under a mask [b, t], padding zero; None: all are real."""
    if mask is None:
        return Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device))
    mask = with_first(mask)
    return Tokens(values.masked_fill(~mask.unsqueeze(-1), 0.0), mask)


def only_what_learns(encoder: ModalityEncoder, inputs: Mapping[str, Tensor] | None) -> None:
    """Turn fixed and unused parameters into buffers. The tokens of ``inputs`` do not depend on the unused ones.

    Poolers, heads and later stages would be parameters without a gradient, on which distributed training fails. With
    ``inputs=None`` every parameter that may learn counts as needed, and no pass is made.
    """
    named = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    needed = set(named)
    if inputs is not None:
        training = encoder.training
        encoder.eval()
        with torch.enable_grad():
            values = encoder(inputs).values
            gradients = torch.autograd.grad(values.sum(), list(named.values()), allow_unused=True)
        encoder.train(training)
        needed = {name for name, gradient in zip(named, gradients, strict=True) if gradient is not None}
    for name, parameter in list(encoder.named_parameters()):
        if name not in needed:
            owner, _, leaf = name.rpartition(".")
            module = encoder.get_submodule(owner)
            del module._parameters[leaf]
            module.register_buffer(leaf, parameter.detach())
