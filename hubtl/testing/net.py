"""Provide a small image network with all members of a backbone, for suites that need a real one."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hubtl.backbones.base import Backbone, BackboneInfo, ImageInput
from hubtl.backbones.writer import write
from hubtl.batch import Features, Inputs

SIDE, WIDTH = 16, 24


class ToyNet(Backbone):
    """Map 16 × 16 images of three channels by two convolutions with BatchNorm and a linear layer."""

    native = False
    _classifier = "classifier"

    def __init__(self) -> None:
        super().__init__()
        spec = ImageInput(size=SIDE, channels=3)
        self.info = BackboneInfo("toy", "hubtl", "toy", WIDTH, spec, pretrained=False)
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten())
        self.linear = nn.Linear(16 * 9, WIDTH)

    def forward(self, inputs: Inputs, present: Mapping[str, Tensor] | None = None) -> Features:
        return Features(self.linear(self.second(self.first(inputs["image"]))))

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        return [(name, list(part.parameters())) for name, part in self.named_children()]

    def lora_targets(self) -> list[str]:
        return ["linear"]

    def save(self, folder: Path, classifier: nn.Linear, names: Sequence[str], meta: Mapping[str, Any]) -> None:
        whole = copy.deepcopy(self).cpu()
        whole.add_module(self._classifier, copy.deepcopy(classifier).cpu())
        write(folder, "toy", self.info, whole, names, meta)

    def snippet(self, where: str) -> str:
        return f"import hubtl\n\nmodel = hubtl.load({where!r})\nlogits = model.logits([image])\nnames = model.names\n"


def toy_net() -> ToyNet:
    """Return the network with equal weights at each call, its BatchNorm fitted to images."""
    torch.manual_seed(0)
    made = ToyNet().train()
    with torch.no_grad():
        for _ in range(20):
            made({"image": torch.randn(32, 3, SIDE, SIDE)})
    return made.eval()


def toy_images(n: int = 16, seed: int = 1) -> dict[str, Tensor]:
    """Return inputs of ``n`` rows: noise."""
    return {"image": torch.randn(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))}
