"""Provide a small image network with all members of a backbone. Suites that need a real one use it."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hubtl.backbones.base import BackboneInfo, ImageInput
from hubtl.backbones.images import ImageBackbone
from hubtl.backbones.writer import write
from hubtl.plugins.modalities import USUAL

SIDE, WIDTH = 16, 24


class ToyNet(ImageBackbone):
    """Run two convolutions with BatchNorm and a linear layer. Images are 16 × 16 with three channels."""

    native = False
    classifier_name = "classifier"

    def __init__(self) -> None:
        super().__init__()
        spec = ImageInput(size=SIDE, channels=3)
        self.info = BackboneInfo("toy", "hubtl", "toy", WIDTH, spec, pretrained=False)
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten())
        self.linear = nn.Linear(16 * 9, WIDTH)

    def see(self, images: Tensor) -> Tensor:
        found: Tensor = self.linear(self.second(self.first(images)))
        return found

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        return [(name, list(part.parameters())) for name, part in self.named_children()]

    def lora_targets(self) -> list[str]:
        return ["linear"]

    def save(self, folder: Path, classifier: nn.Linear, names: Sequence[str], meta: Mapping[str, Any]) -> None:
        whole = copy.deepcopy(self).cpu()
        whole.add_module(self.classifier_name, copy.deepcopy(classifier).cpu())
        write(folder, "toy", self.info, whole, names, meta)

    def snippet(self, where: str) -> str:
        return f"import hubtl\n\nmodel = hubtl.load({where!r})\nlogits = model.logits([image])\nnames = model.names\n"


def toy_net() -> ToyNet:
    """Return the network with equal weights at each call. Its BatchNorm is fitted to images."""
    torch.manual_seed(0)
    made = ToyNet().train()
    with torch.no_grad():
        for _ in range(20):
            made({USUAL: torch.randn(32, 3, SIDE, SIDE)})
    return made.eval()


def toy_images(n: int = 16, seed: int = 1) -> dict[str, Tensor]:
    """Return inputs of ``n`` rows: noise."""
    return {USUAL: torch.randn(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))}
