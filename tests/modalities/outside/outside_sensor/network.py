"""A small network on signals in its own format, and its loader. The loader opens what it saved."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hubtl import Backbone, Features, HubtlError
from hubtl.backbones.base import BackboneInfo, BackboneRequest
from hubtl.backbones.loader import Loader
from hubtl.recipe.bounded import Bounded
from hubtl.record import Outputs
from outside_sensor.reading import SensorReader


class SensorOptions(Bounded):
    """Options of ``--model sensor-conv``."""

    length: int = Field(64, ge=16, description="values of a signal")
    channels: int = Field(16, ge=1, description="of each convolution")


@dataclasses.dataclass(frozen=True)
class SensorInput:
    """How the model wants its signals."""

    length: int

    def as_dict(self) -> dict[str, Any]:
        return {"length": self.length}


class SensorNet(Backbone):
    """Two convolutions over time, and each channel's largest and mean answer."""

    native = False
    not_native_because = "it is a network of outside-sensor"

    def __init__(self, options: SensorOptions) -> None:
        super().__init__()
        self.options = options
        self.readers = {"sensor": SensorReader(options.length)}
        self.layers = nn.Sequential(
            nn.Conv1d(1, options.channels, 9, padding=4),
            nn.ReLU(),
            nn.Conv1d(options.channels, options.channels, 9, padding=4),
            nn.ReLU(),
        )
        self.info = BackboneInfo(
            name="sensor-conv",
            library="hubtl",
            architecture="sensor-conv",
            width=2 * options.channels,
            input=SensorInput(options.length),
            pretrained=False,
            modalities=("sensor",),
        )

    def forward(self, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor] | None = None) -> Features:
        maps = self.layers(inputs["sensor"].unsqueeze(1))
        return Features(torch.cat([maps.amax(dim=2), maps.mean(dim=2)], dim=1))

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        return [(f"conv{i}", list(self.layers[2 * i].parameters())) for i in (0, 1)]

    def lora_targets(self) -> list[str]:
        return ["layers.0", "layers.2"]

    def save(self, folder: Path, classifier: nn.Linear, names: Sequence[str], meta: Mapping[str, Any]) -> None:
        options = self.options.model_dump()
        config = {"architecture": "sensor-conv", "options": options, "label_names": list(names), "hubtl": dict(meta)}
        (folder / "config.json").write_text(json.dumps(config))
        tensors = {**self.state_dict(), **classifier.state_dict(prefix="classifier.")}
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, folder / "model.safetensors")

    def snippet(self, where: str) -> str:
        return f"import hubtl  # pip install hubtl outside-sensor\n\nmodel = hubtl.load({where!r})\n"


class SensorLoader(Loader):
    """A network for signals of a fixed length, from random weights."""

    Options = SensorOptions
    modalities = ("sensor",)

    def load(self, name: str, request: BackboneRequest) -> SensorNet:
        if request.pretrained:
            raise HubtlError("sensor-conv has no pretrained weights", hint="--no-pretrained")
        return SensorNet(SensorOptions(**request.options))

    def rebuild(
        self, folder: Path, outputs: Outputs, request: BackboneRequest | None = None
    ) -> tuple[SensorNet, nn.Linear]:
        options = json.loads((folder / "config.json").read_text())["options"]
        net = SensorNet(SensorOptions(**options))
        head = nn.Linear(net.info.width, len(outputs.names))
        if request is None or request.pretrained:
            tensors = load_file(folder / "model.safetensors")
            head.load_state_dict({k: tensors.pop(f"classifier.{k}") for k in ("weight", "bias")})
            net.load_state_dict(tensors)
            net.info = dataclasses.replace(net.info, pretrained=True)
        return net, head
