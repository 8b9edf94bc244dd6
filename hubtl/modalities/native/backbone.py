"""Run a transformers classifier without its last linear layer."""

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hubtl.backbones.base import Backbone, BackboneInfo
from hubtl.backbones.surgery import linear_names, with_classifier
from hubtl.backbones.transformers import NAMES, name_outputs
from hubtl.batch import Features, Inputs
from hubtl.modalities.native.blocks import ATTENTION, blocks_around, repeated
from hubtl.modalities.native.loading import write
from hubtl.modalities.reader import Reader
from hubtl.modalities.rows import collated, say_cut
from hubtl.modalities.windows import WindowsReader, pooled


@dataclass(frozen=True)
class NativeInput:
    """Describe the model's input."""

    values: dict[str, Any]  # text: max_length; audio: rate, seconds; windows where there are several

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return dict(self.values)


class NativeClassifier(Backbone, ABC):
    """Return the input of the model's last linear layer. It is ``pooled`` [b, d].

    It includes the model's own pooler, dense layer or projector, and the library's dropout in train mode. Of a row of
    several windows it is the mean over them, so that logits are means of the windows' logits. ``reader`` makes inputs of
    one window of a cell, ``companion`` is the tokenizer or feature extractor that is saved with it.
    """

    modality: ClassVar[str]
    classifier_name: str
    windowed = True
    auto: ClassVar[tuple[str, str]]  # transformers' classes that open the model, and its companion

    def __init__(self, model: Any, classifier: str, reader: Reader, companion: Any) -> None:
        super().__init__()
        self.model = model
        self.reader, self.companion = reader, companion
        self.readers: dict[str, Reader] = {self.modality: reader}
        self._said = False  # that the end of an input is not read
        self.train_windows: int | None = None  # of a row in a training step; None: all
        self.was: dict[str, Any] = {}  # settings that were changed for training, as they are saved
        self.idle: tuple[str, ...] = ()  # parameters that the features do not depend on
        self.fresh: tuple[str, ...] = ()  # parameters that came without pretrained weights
        self.classifier_name = classifier

    @property
    def needs_code(self) -> bool:
        """Return whether the saved model loads only with the code beside it."""
        return False

    @abstractmethod
    def given(self, inputs: Inputs) -> dict[str, Any]:
        """Return a batch as the model's keyword arguments."""

    def in_windows(self, count: int, train: int) -> None:
        """Read long cells in so many windows; a training step draws ``train`` of them."""
        if count > 1:
            self.readers, self.train_windows = {self.modality: WindowsReader(self.reader, count)}, train

    def forward(self, inputs: Inputs, present: Mapping[str, Tensor] | None = None) -> Features:
        most = self.train_windows if self.training else None
        return Features(pooled(self.logits, inputs, self.modality, most))

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the library's logits [b, c]. Without its classifier they are features [b, d]."""
        given = (
            self.given(inputs) if self.modality in inputs else inputs
        )  # of an exported graph: as ``given`` made them
        found: Tensor = self.model(**given).logits
        return found

    def graph_inputs(self, inputs: Inputs) -> dict[str, Tensor]:
        return {name: value for name, value in self.given(inputs).items() if value is not None}

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        return blocks_around(self.model, repeated(self.model))

    def lora_targets(self) -> list[str]:
        names = linear_names(self.model)
        return [f"model.{name}" for name in [n for n in names if ATTENTION.search(f".{n}")] or names]

    def frozen(self) -> list[nn.Parameter]:
        return [p for name, p in self.model.named_parameters() if name in self.idle]

    def rates(self) -> dict[nn.Parameter, float]:
        return {p: 1.0 for name, p in self.model.named_parameters() if name in self.fresh}

    def collate(self, rows: Sequence[Any]) -> dict[str, Tensor]:
        """Return inputs of rows (modality -> cell) or of plain cells. They have no random views."""
        named = [row if isinstance(row, Mapping) and self.modality in row else {self.modality: row} for row in rows]
        self._said = self._said or say_cut(self.readers, named)
        return collated(self.readers, named)

    def save(self, folder: Any, classifier: nn.Linear, names: Sequence[str], meta: Mapping[str, Any]) -> None:
        whole: Any = with_classifier(self.model, self.classifier_name, classifier)
        for key, value in self.was.items():
            setattr(whole.config, key, value)
        name_outputs(whole.config, names)
        whole.config.problem_type = "single_label_classification"
        whole.config.hubtl = {**meta, "input": self.info.input.as_dict()}
        write(whole, folder, self.companion)

    def snippet(self, where: str) -> str:
        source, (model, companion) = json.dumps(where), self.auto
        code = ", trust_remote_code=True" if self.needs_code else ""
        prepared, logits = self.example()
        return (
            f"from transformers import {companion}, {model}\n\n"
            f"companion = {companion}.from_pretrained({source}{code})\n"
            f"model = {model}.from_pretrained({source}{code}).eval()\n"
            f"{prepared}\n"
            f"logits = {logits}\n"
            f"names = model.config.{NAMES[0]}\n"
        )

    @abstractmethod
    def example(self) -> tuple[str, str]:
        """Return code that prepares one input, and an expression of its logits.

        The code uses ``companion``.
        """


def finished(built: NativeClassifier, layer: nn.Linear, trial: Inputs, missing: Sequence[str], **facts: Any) -> None:
    """Describe a backbone without its classifier. It finds the parameters that features ignore."""
    names = [name for name, p in built.model.named_parameters() if p.requires_grad]
    built.eval()
    with torch.enable_grad():
        features = built(trial).pooled
        own = dict(built.model.named_parameters())
        found = torch.autograd.grad(features.sum(), [own[name] for name in names], allow_unused=True)
    built.train()
    used = {name for name, gradient in zip(names, found, strict=True) if gradient is not None}
    built.idle = tuple(name for name in own if name not in used)
    built.fresh = tuple(name for name in missing if name in used)
    layers = sorted({name.rpartition(".")[0] for name in built.fresh})
    notes = (f"{', '.join(layers)}: without pretrained weights, from random ones",) if layers else ()
    config = copy.deepcopy(built.model.config)
    built.info = BackboneInfo(
        library="transformers",
        architecture=str(getattr(config, "encoder", config).model_type),
        width=layer.in_features,
        modalities=(built.modality,),
        notes=(*facts.pop("notes", ()), *notes),
        **facts,
    )
