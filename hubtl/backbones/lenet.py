"""Define LeNet, the built-in network of the digits recipe: small, grey, from scratch."""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from hubtl.backbones import own
from hubtl.backbones.base import Backbone, BackboneInfo, BackboneRequest, ImageInput
from hubtl.backbones.images import ImageBackbone
from hubtl.backbones.loader import Loader
from hubtl.backbones.writer import write
from hubtl.errors import HubtlError
from hubtl.recipe.bounded import Bounded
from hubtl.recipe.reading import made
from hubtl.record import Outputs

WIDTH = 500


class LeNetOptions(Bounded):
    """Hold the options of ``--model lenet``."""

    dropout: float = Field(
        0.5, ge=0, lt=1, description="chance of each channel and feature to be left out; less learns sooner"
    )


class LeNet(ImageBackbone):
    """Run the LeNet of the digits recipe.

    Its layers are conv 20@5, pool, ReLU, conv 50@5, dropout, pool, ReLU, linear 500, ReLU and dropout; 28 × 28 grey
    images.

    conv 20@5, pool, ReLU, conv 50@5, dropout, pool, ReLU, linear 500, ReLU, dropout: the network of the Transfer
    Learning Library's digits recipe. No other library has it, hence its export loads with hubtl.
    """

    native = False
    classifier_name = "classifier"

    def __init__(self, info: BackboneInfo, options: LeNetOptions = LeNetOptions()) -> None:
        super().__init__()
        self.info, self.options = info, options
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 20, kernel_size=5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(20, 50, kernel_size=5),
            nn.Dropout2d(options.dropout),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
        )
        side = ((info.input.size - 4) // 2 - 4) // 2
        self.linear = nn.Sequential(nn.Linear(50 * side * side, WIDTH), nn.ReLU(), nn.Dropout(options.dropout))

    def see(self, images: Tensor) -> Tensor:
        found: Tensor = self.linear(self.convolutions(images))
        return found

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        layers = (("conv1", self.convolutions[0]), ("conv2", self.convolutions[3]), ("linear", self.linear))
        return [(name, list(layer.parameters())) for name, layer in layers]

    def lora_targets(self) -> list[str]:
        return ["linear.0"]

    def save(self, folder: Path, classifier: nn.Linear, names: Sequence[str], meta: Mapping[str, Any]) -> None:
        whole = copy.deepcopy(self).cpu()
        whole.add_module(self.classifier_name, copy.deepcopy(classifier).cpu())
        write(folder, "lenet", self.info, whole, names, meta, self.options.model_dump(exclude_defaults=True))

    def snippet(self, where: str) -> str:
        return (
            "import hubtl\n\n"
            f"model = hubtl.load({json.dumps(where)})\n"
            "logits = model.logits([image])\nnames = model.names\n"
        )


class LeNetLoader(Loader):
    """Build the LeNet of the digits recipe from random weights. It takes 28 × 28 grey images."""

    Options = LeNetOptions

    def load(self, name: str, request: BackboneRequest) -> LeNet:
        """Build it with random weights. Raises HubtlError if pretrained ones are asked for: there are none."""
        if request.pretrained:
            raise HubtlError("lenet has no pretrained weights", hint="--no-pretrained")
        size = request.image_size or 28
        if size < 16:
            raise HubtlError(f"lenet needs images of at least 16 pixels, got {size}", hint="--image-size 28")
        spec = ImageInput(size=size, channels=1, mean=(0.5,), std=(0.5,), interpolation="bilinear")
        info = BackboneInfo(
            name="lenet", library="hubtl", architecture="lenet", width=WIDTH, input=spec, pretrained=False
        )
        options = made(LeNetOptions, "lenet", request.options, "model.")
        assert isinstance(options, LeNetOptions)
        return LeNet(info, options)

    def rebuild(
        self, folder: Path, outputs: Outputs, request: BackboneRequest | None = None
    ) -> tuple[Backbone, nn.Linear]:
        return own.rebuilt(folder, outputs, request, lambda asked: self.load("lenet", asked))


load = LeNetLoader()
