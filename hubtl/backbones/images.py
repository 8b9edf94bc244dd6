"""Share what backbones of images alone have in common."""

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from hubtl.backbones.base import Backbone
from hubtl.batch import Features, Inputs


class ImageBackbone(Backbone):
    """Map images [b, c, h, w], as ``info.input`` says that it wants them, to features [b, width]."""

    def forward(self, inputs: Inputs, present: Mapping[str, Tensor] | None = None) -> Features:
        return Features(self.see(inputs["image"]))

    @abstractmethod
    def see(self, images: Tensor) -> Tensor:
        """Return the input of the last linear layer for images [b, c, h, w]: [b, width]."""
