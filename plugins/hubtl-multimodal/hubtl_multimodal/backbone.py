"""Combine encoders and their fusion as one backbone. They are of one or more modalities.

Its name is ``--model image=…,text=…,audio=…``.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn

from hubtl import Backbone, Features, HubtlError
from hubtl.backbones import parts_of
from hubtl.backbones.base import BackboneInfo, BackboneRequest
from hubtl.backbones.loader import Loader
from hubtl.batch import Inputs
from hubtl.modalities.rows import collated, ranged, say_cut
from hubtl.modules import Classifier
from hubtl.record import Outputs
from hubtl_multimodal import encoders, saving, tuning
from hubtl_multimodal.encoders.base import ModalityEncoder, Tokens
from hubtl_multimodal.explain import Explanation, explain
from hubtl_multimodal.fusion import Fusion
from hubtl_multimodal.options import ModelOptions
from hubtl_multimodal.rows import MultimodalSet


@dataclass(frozen=True)
class MultimodalInput:
    """Describe the model's input: each encoder's, and the options that it was made with."""

    encoders: dict[str, dict[str, Any]]  # modality -> EncoderInfo
    options: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"encoders": self.encoders, "options": self.options}


class MultimodalBackbone(Backbone):
    """Fuse the tokens of encoders, one for each modality.

    ``pooled`` is ``[f ; r_m z_m ; r_m]``: the fused feature, and for each modality its own feature and whether it is
    present. One linear head on it is the sum of a head on ``f`` and of one on each present modality, hence every
    strategy's head can be saved. ``parts`` has ``fused``, each modality's ``z_m``, and for each modality ``.tokens``,
    ``.mask``, ``.local``, ``.weights`` and ``.present`` (see ``hubtl_multimodal.fusion.Fused``).
    """

    native = False
    not_native_because = "its modalities meet in a fusion that no other library has"

    def __init__(
        self,
        towers: Mapping[str, ModalityEncoder],
        options: ModelOptions,
        name: str | None = None,
        *,
        learns: bool = True,
    ) -> None:
        super().__init__()
        self.modalities = tuple(towers)
        self._said = False  # that the end of an input is not read
        self.options = options
        self.encoders = nn.ModuleDict(towers)
        self.readers = {modality: tower.reader() for modality, tower in towers.items()}
        for modality in {"text", "audio"} & towers.keys():
            self.readers[modality].strengths = options
        self.fusion = Fusion(
            {modality: tower.info.width for modality, tower in towers.items()},
            kind=options.fusion,
            width=options.width,
            layers=options.layers,
            heads=options.heads,
            bottlenecks=options.bottlenecks,
            latents=options.latents,
            dropout=options.dropout,
            modality_dropout=options.modality_dropout,
        )
        infos = {modality: tower.info for modality, tower in towers.items()}
        self.info = BackboneInfo(
            name=name or ",".join(f"{modality}={info.name}" for modality, info in infos.items()),
            library="hubtl",
            architecture="multimodal",
            width=self.fusion.joint_width,
            input=MultimodalInput(
                {modality: dataclasses.asdict(info) for modality, info in infos.items()},
                options.model_dump(mode="json"),
            ),
            pretrained=any(info.pretrained for info in infos.values()),
            license=next(iter(licences)) if len(licences := {info.license for info in infos.values()}) == 1 else None,
            modalities=self.modalities,
            parts={
                modality: {
                    "name": info.name,
                    "library": info.library,
                    "architecture": info.architecture,
                    "pretrained": info.pretrained,
                    "base_model": info.base_model,
                    "revision": info.revision,
                    "license": info.license,
                    "tune": options.tune(modality),
                }
                for modality, info in infos.items()
            },
            notes=tuple(f"{modality}: {note}" for modality, info in infos.items() for note in info.notes),
        )
        if learns:
            for modality, tower in towers.items():
                tuning.apply(tower, options.tune(modality))

    def tower(self, modality: str) -> ModalityEncoder:
        """Return the encoder of a modality."""
        found = self.encoders[modality]
        assert isinstance(found, ModalityEncoder)
        return found

    def forward(self, inputs: Inputs, present: Mapping[str, Tensor] | None = None) -> Features:
        """Return the features of rows.

        Args:
            inputs: the encoders' inputs.
            present: modality -> [b] bool, which overrides ``MODALITY.present`` in the inputs.
        """
        tokens = {modality: self._tokens(modality, inputs) for modality in self.modalities}
        rows = next(iter(tokens.values())).mask.shape[0]  # not len(): an exported graph takes any number of rows
        there = {}
        for modality in self.modalities:
            said = (present or {}).get(modality, inputs.get(f"{modality}.present"))
            there[modality] = tokens[modality].mask.new_ones(rows) if said is None else said.bool()
        out = self.fusion(tokens, there)
        parts = dict(out.parts)
        if out.fused is not None:
            parts["fused"] = out.fused
        for modality in self.modalities:
            parts |= {
                f"{modality}.tokens": out.tokens[modality],
                f"{modality}.mask": out.masks[modality],
                f"{modality}.local": out.local[modality],
                f"{modality}.weights": out.weights[modality],
                f"{modality}.present": out.present[modality],
            }
        return Features(self.fusion.joint(out), tokens=torch.cat(list(out.tokens.values()), dim=1), parts=parts)

    def _tokens(self, modality: str, inputs: Inputs) -> Tokens:
        if f"{modality}.tokens" in inputs:  # of a frozen encoder, made once
            return Tokens(inputs[f"{modality}.tokens"].float(), inputs[f"{modality}.mask"])
        tokens: Tokens = self.tower(modality)(inputs)
        return tokens

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        found = [(f"{m}.{name}", own) for m in self.modalities for name, own in self.tower(m).blocks()]
        return [*found, ("fusion", list(self.fusion.parameters()))]

    def lora_targets(self) -> list[str]:
        return [f"encoders.{m}.{name}" for m in self.modalities for name in self.tower(m).lora_targets()]

    def frozen(self) -> list[nn.Parameter]:
        return [p for m in self.modalities for p in tuning.frozen(self.tower(m), self.options.tune(m))]

    def rates(self) -> dict[nn.Parameter, float]:
        found = dict.fromkeys(self.fusion.parameters(), 1.0)
        for modality in self.modalities:
            tower = self.tower(modality)
            rate = self.options.rate(modality, pretrained=tower.info.pretrained)
            found |= dict.fromkeys(tower.parameters(), rate)
        return found

    def rows(self, dataset: Dataset, columns: Mapping[str, str], **how: Any) -> MultimodalSet:
        """Return the rows of a split, as ``hubtl.data.rows.Rows``."""
        still = {m: self.tower(m) for m in self.modalities if self.options.tune(m) == "freeze"}
        return MultimodalSet(dataset, {m: columns[m] for m in self.modalities}, self.readers, still=still, **how)

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Return inputs of rows (modality -> cell; a missing key is a missing modality), without random views."""
        self._said = self._said or say_cut(self.readers, rows)
        return collated(ranged(self.readers, self.ranges), rows)

    def explain(self, classifier: Classifier, names: Sequence[str], row: Any, **options: Any) -> Explanation:
        """Explain a prediction by modalities and tokens (see ``hubtl_multimodal.explain.explain``)."""
        return explain(classifier, names, row, **options)

    def head_blocks(self) -> dict[str, slice]:
        return self.fusion.blocks_of()

    def merge(self) -> None:
        for modality in self.modalities:
            tuning.merge(self.tower(modality), self.options.tune(modality))

    def save(self, folder: Path, classifier: nn.Linear, names: Sequence[str], meta: Mapping[str, Any]) -> None:
        saving.write(folder, self, classifier, names, meta)

    def snippet(self, where: str) -> str:
        return saving.snippet(where, self)


class MultimodalLoader(Loader):
    """Fuse encoders of one or more modalities, ``image=NAME,text=NAME,audio=NAME``, into one model."""

    Options = ModelOptions
    picks = {"adaptation": ("mm-da", "a model of several modalities, which can label the target for each other")}

    def load(self, name: str, request: BackboneRequest) -> MultimodalBackbone:
        """Load the encoders that a name lists. A fresh fusion is put on them."""
        options = ModelOptions(**request.options)
        parts = parts_of(name)
        if not parts:
            raise HubtlError(f"{name} names no encoder", hint="image=NAME,text=NAME,audio=NAME")
        if options.width % options.heads:
            raise HubtlError(
                f"{options.heads} heads do not divide a width of {options.width}", hint="--set model.heads=4"
            )
        towers = {
            modality: encoders.create(
                modality,
                model,
                pretrained=options.pretrained(modality, request.pretrained),
                image_size=request.image_size if modality == "image" else None,
                options=options.of_encoder(modality),
            )
            for modality, model in parts.items()
        }
        built = MultimodalBackbone(towers, options)
        lengths = {"text": options.max_length, "audio": options.seconds}
        built.lengths_open = tuple(m for m in towers if m in lengths and lengths[m] is None)
        return built

    def rebuild(
        self, folder: Path, outputs: Outputs, request: BackboneRequest | None = None
    ) -> tuple[MultimodalBackbone, nn.Linear]:
        """Build the model of a folder that ``save`` wrote, and its classifier; with a request, to adapt it further."""
        return saving.read(folder, outputs.names, MultimodalBackbone, request)


load = MultimodalLoader()
