"""Make a dense model of any backbone that gives maps: one feature for each cell of a grid."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor, nn

from hubtl.backbones import own
from hubtl.backbones.base import Backbone, BackboneRequest
from hubtl.backbones.loader import Loader
from hubtl.backbones.reference import DENSE
from hubtl.backbones.saved import as_timm, read_config
from hubtl.backbones.weights import load_into
from hubtl.batch import Features, Inputs
from hubtl.errors import HubtlError
from hubtl.io import jsontext
from hubtl.plugins.modalities import USUAL
from hubtl.recipe.bounded import Bounded
from hubtl.recipe.reading import made
from hubtl.record import Outputs

NAME = DENSE


class DenseOptions(Bounded):
    """Hold the options of dense models."""

    stride: Literal[4, 8, 16, 32] = Field(8, description="pixels of the input for each cell of the grid")
    decoder: Literal["mlp", "linear"] = Field(
        "mlp", description="what follows the maps: a small network that learns, or nothing but the linear head"
    )
    width: int = Field(128, ge=8, le=2048, description="mlp: channels of the fused map")


class DenseBackbone(Backbone):
    """Give one feature for each cell of a grid over the image.

    The encoder's maps, from the grid's stride on, are resized to the grid and concatenated. The decoder ``mlp`` projects
    each map, adds them and applies a depthwise 3 × 3 convolution: SegFormer's all-MLP head (arXiv:2105.15203) with a look
    at the neighbours. ``linear`` leaves the maps to the linear head.
    """

    native = False
    not_native_because = "no library has a segmenter on this encoder"
    classifier_name = "classifier"

    def __init__(self, encoder: Backbone, options: DenseOptions) -> None:
        super().__init__()
        self.encoder, self.options = encoder, options
        spec = dataclasses.replace(encoder.info.input, crop_pct=1.0, crop_mode="squash")
        with torch.no_grad():
            training = encoder.training
            maps = self._maps(encoder.eval(), torch.zeros(1, spec.channels, spec.size, spec.size))
            encoder.train(training)
        self.side = -(-spec.size // options.stride)
        channels = [m.shape[1] for m in maps]
        self.decoder: nn.Module | None = None
        self.learnt = False  # whether the decoder came with weights
        width = sum(channels)
        if options.decoder == "mlp":
            self.decoder = _Fused(channels, options.width)
            width = options.width
        self.info = dataclasses.replace(
            encoder.info, library="hubtl", architecture=f"{NAME}:{encoder.info.architecture}", width=width, input=spec
        )

    def _maps(self, encoder: Backbone, images: Tensor) -> list[Tensor]:
        """Return the encoder's maps from the grid's stride on; of coarser encoders all of them."""
        every = encoder.maps(images)
        side = -(-images.shape[-1] // self.options.stride)
        return [m for m in every if m.shape[-1] <= side] or every[-1:]

    def forward(self, inputs: Inputs, present: Mapping[str, Tensor] | None = None) -> Features:
        maps = self._maps(self.encoder, inputs[USUAL])
        resized = [
            m
            if m.shape[-1] == self.side
            else F.interpolate(m, size=(self.side, self.side), mode="bilinear", align_corners=False)
            for m in maps
        ]
        whole = torch.cat(resized, dim=1) if self.decoder is None else self.decoder(resized)
        return Features(whole.movedim(1, -1).flatten(0, 2), (whole,), sites=self.side**2)

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        own_blocks = [] if self.decoder is None else [("decoder", list(self.decoder.parameters()))]
        return [*self.encoder.blocks(), *own_blocks]

    def lora_targets(self) -> list[str]:
        return [f"encoder.{name}" for name in self.encoder.lora_targets()]

    def rates(self) -> dict[nn.Parameter, float]:
        own_rates = {} if self.decoder is None else dict.fromkeys(self.decoder.parameters(), 1.0)  # new, as a head is
        return {**self.encoder.rates(), **own_rates}

    def new_layers(self) -> list[nn.Parameter]:
        return [] if self.decoder is None or self.learnt else list(self.decoder.parameters())

    def frozen(self) -> list[nn.Parameter]:
        return self.encoder.frozen()

    def merge(self) -> None:
        self.encoder.merge()

    def save(self, folder: Path, classifier: nn.Linear, names: Sequence[str], meta: Mapping[str, Any]) -> None:
        described = self.encoder.described()
        config = {
            "architecture": self.info.architecture,
            "options": self.options.model_dump(),
            "encoder": described,
            **as_timm(names),
            "input": self.info.input.as_dict(),
            "hubtl": dict(meta),
        }
        jsontext.save(folder / "config.json", config)
        whole = copy.deepcopy(self).cpu()
        whole.add_module(self.classifier_name, copy.deepcopy(classifier).cpu())
        save_file({k: v.detach().contiguous() for k, v in whole.state_dict().items()}, folder / "model.safetensors")

    def snippet(self, where: str) -> str:
        return f"import hubtl\n\nmodel = hubtl.load({where!r})\nlogits = model.logits([image])\nnames = model.names\n"


class _Fused(nn.Module):
    """Fuse maps [b, c_i, side, side] into one of a width."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(c, width, 1, bias=False) for c in channels)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in channels)
        self.mix = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        parts = [norm(layer(m)) for layer, norm, m in zip(self.project, self.norms, maps, strict=True)]
        found: Tensor = self.mix(torch.stack(parts).sum(dim=0))
        return found


class DenseLoader(Loader):
    """Load dense models: a decoder on the maps of any encoder that gives them."""

    Options = DenseOptions

    def load(self, name: str, request: BackboneRequest) -> Backbone:
        """Build a dense model on the encoder of a name; a saved dense model stays as it is."""
        from hubtl.backbones import resolve

        asked = dataclasses.replace(request, dense=False, options={}, keep_classifier=False)
        encoder = resolve(name, asked)
        if isinstance(encoder, DenseBackbone):
            return encoder
        options = made(DenseOptions, NAME, request.options, "model.")
        assert isinstance(options, DenseOptions)
        built = DenseBackbone(encoder, options)
        built.info = dataclasses.replace(built.info, name=name)
        return built

    def rebuild(
        self, folder: Path, outputs: Outputs, request: BackboneRequest | None = None
    ) -> tuple[Backbone, nn.Linear]:
        config = read_config(folder)
        try:
            options, described = DenseOptions(**config["options"]), config["encoder"]
        except (KeyError, TypeError, ValueError) as error:
            raise HubtlError(
                f"{folder}: config.json does not say what it is built of: {error}", hint="save it again"
            ) from error
        spec = own.image_input(config["input"], folder)
        size = (request.image_size if request else None) or spec.size
        encoder = _rebuilt(described, dataclasses.replace(spec, size=size), folder)
        built = DenseBackbone(encoder, options)
        if request is not None and not request.pretrained:
            return built, nn.Linear(built.info.width, len(request.names))
        tensors = own.read_tensors(folder)
        head = own.linear_of(tensors, DenseBackbone.classifier_name, folder, biased=True)
        rest = {k: v for k, v in tensors.items() if k.rpartition(".")[0] != DenseBackbone.classifier_name}
        load_into(built, rest, str(folder), model=f"{config['architecture']} at {size} pixels", hint="save it again")
        built.info, built.learnt = dataclasses.replace(built.info, pretrained=True), True
        return built, head


def _rebuilt(described: Mapping[str, Any], spec: Any, folder: Path) -> Backbone:
    """Return the encoder that a configuration describes, with random weights."""
    library = described.get("library")
    if library != "timm":
        raise HubtlError(f"{folder}: its encoder is of {library!r}, which dense models are not built of")
    from hubtl.backbones import timm

    return timm.described_by(described, spec)


load = DenseLoader()
