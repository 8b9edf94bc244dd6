"""Share what backbones of images alone have in common."""

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from hubtl.backbones.base import Backbone
from hubtl.batch import Features, Inputs


class ImageBackbone(Backbone):
    """Map images [b, c, h, w] to features [b, width]. ``info.input`` describes the images."""

    def forward(self, inputs: Inputs, present: Mapping[str, Tensor] | None = None) -> Features:
        return Features(self.see(inputs["image"]))

    @abstractmethod
    def see(self, images: Tensor) -> Tensor:
        """Return the last linear layer's input for images [b, c, h, w]: [b, width]."""
