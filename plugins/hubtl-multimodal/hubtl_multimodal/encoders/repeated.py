"""Find the repeated layers of transformers models."""

from torch import nn

from hubtl_multimodal.encoders.base import ModalityEncoder, blocks_around


class TransformersEncoder(ModalityEncoder):
    """Run a transformers model without heads; its blocks are the repeated layers and the rest."""

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        return blocks_around(self.model, repeated(self.model))


def repeated(model: nn.Module) -> list[nn.Module]:
    """Return the model's list of layers with the most parameters; empty without one."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    return list(max(lists, key=lambda found: sum(p.numel() for p in found.parameters()), default=[]))
