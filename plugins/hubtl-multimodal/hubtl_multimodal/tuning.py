"""Select which parameters of an encoder learn: none, all, the last blocks, or a low-rank update."""

from torch import nn

from hubtl import HubtlError
from hubtl_multimodal.encoders.base import ModalityEncoder


def apply(tower: ModalityEncoder, tune: str) -> None:
    """Apply ``tune`` to an encoder.

    Raises:
        HubtlError: where peft is missing, or more blocks are asked for than there are.
    """
    if tune == "lora":
        _inject(tower)
    elif tune.startswith("top-") and int(tune[4:]) > len(tower.blocks()):
        raise HubtlError(
            f"{tower.info.name} has {len(tower.blocks())} blocks, and {tune} asks for more",
            hint=f"--set model.{tower.info.modality}_tune=full",
        )
    for p in frozen(tower, tune):
        p.requires_grad_(False)


def frozen(tower: ModalityEncoder, tune: str) -> list[nn.Parameter]:
    """Return the frozen parameters."""
    if tune == "full":
        return []
    if tune == "freeze":
        return list(tower.parameters())
    if tune == "lora":
        return [p for name, p in tower.named_parameters() if "lora_" not in name]
    return [p for _, own in tower.blocks()[: -int(tune[4:])] for p in own]


def merge(tower: ModalityEncoder, tune: str) -> None:
    """Merge a low-rank update into the encoder. It has its own shape again."""
    if tune != "lora":
        return
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(tower.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(tower.get_submodule(parent), leaf, module.get_base_layer())


def _inject(tower: ModalityEncoder) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        hint = "pip install hubtl[lora]"
        raise HubtlError("lora needs peft, which is not installed", hint=hint) from error
    inject_adapter_in_model(LoraConfig(r=8, lora_alpha=16, target_modules=tower.lora_targets()), tower)
