"""Share what backbones of images alone have in common."""

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from hubtl.backbones.base import Backbone
from hubtl.batch import Features, Inputs

PIXELS = "pixel_values"  # as transformers calls them


class ImageBackbone(Backbone):
    """Map images [b, c, h, w] to features [b, width]. ``info.input`` describes the images."""

    def forward(self, inputs: Inputs, present: Mapping[str, Tensor] | None = None) -> Features:
        return Features(self.see(inputs["image"] if "image" in inputs else inputs[PIXELS]))

    def graph_inputs(self, inputs: Inputs) -> dict[str, Tensor]:
        return {PIXELS: inputs["image"]}

    @abstractmethod
    def see(self, images: Tensor) -> Tensor:
        """Return the last linear layer's input for images [b, c, h, w]: [b, width]."""
