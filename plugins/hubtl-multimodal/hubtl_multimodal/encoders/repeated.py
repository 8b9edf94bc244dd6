"""Find the repeated layers of transformers models."""

from torch import nn

from hubtl.modalities.native.blocks import blocks_around, repeated
from hubtl_multimodal.encoders.base import ModalityEncoder


class TransformersEncoder(ModalityEncoder):
    """Run a transformers model without heads; its blocks are the repeated layers and the rest."""

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        return blocks_around(self.model, repeated(self.model))
