"""What the encoders on transformers' models share: where their repeated layers are."""

from torch import nn

from hubtl_multimodal.encoders.base import ModalityEncoder, blocks_around


class TransformersEncoder(ModalityEncoder):
    """A transformers model without heads; its blocks are its repeated layers, and what is around them."""

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        return blocks_around(self.model, repeated(self.model))


def repeated(model: nn.Module) -> list[nn.Module]:
    """The model's list of layers: the one that holds the most parameters; empty where there is none."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    return list(max(lists, key=lambda found: sum(p.numel() for p in found.parameters()), default=[]))
