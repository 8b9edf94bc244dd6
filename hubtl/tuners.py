"""Select the backbone parameters to train; tuners compose with every strategy."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, Field
from torch import nn

from hubtl._compat import ensure_torchvision
from hubtl.backbones.base import Backbone
from hubtl.errors import HubtlError
from hubtl.io import jsontext
from hubtl.recipe.bounded import Bounded


class TunerOptions(Bounded):
    model_config = ConfigDict(frozen=True)


class Tuner(ABC):
    """Select which backbone parameters learn; plugins register a subclass under ``hubtl.tuners``."""

    Options: ClassVar[type[TunerOptions]] = TunerOptions

    def __init__(self, options: TunerOptions | None = None) -> None:
        self.options: Any = options if options is not None else self.Options()

    @abstractmethod
    def apply(self, backbone: Backbone) -> None:
        """Set ``requires_grad`` of the backbone's parameters; add parameters where the method does."""

    def merge(self, backbone: Backbone) -> None:
        """Merge added parameters in place, with equal outputs. The backbone has its own shape again."""
        return

    def export(self, folder: Path, backbone: Backbone, classifier: nn.Linear, names: Sequence[str]) -> bool:
        """Write added parameters beside the model, before they are merged.

        Args:
            folder: the run's folder; an adapter goes into a folder within.
            backbone: the backbone that ``apply`` changed.
            classifier: the linear head.
            names: names of its outputs.

        Returns:
            Whether something was written.
        """
        return False


class Full(Tuner):
    """Train the whole backbone."""

    def apply(self, backbone: Backbone) -> None:
        for parameter in backbone.parameters():
            parameter.requires_grad_(True)


class Head(Tuner):
    """Train bottleneck and head only; the backbone stays frozen."""

    def apply(self, backbone: Backbone) -> None:
        _only(backbone, [])


class FirstNOptions(TunerOptions):
    n: int = Field(1, ge=0, description="number of the backbone's blocks to freeze, from the input")


class FirstN(Tuner):
    """Freeze the first n blocks, their BatchNorm statistics included; train the others."""

    Options = FirstNOptions

    def apply(self, backbone: Backbone) -> None:
        blocks = backbone.blocks()
        if self.options.n > len(blocks):
            names = ", ".join(name for name, _ in blocks)
            raise HubtlError(
                f"tuner.n is {self.options.n}, and {backbone.info.name} has {len(blocks)} blocks: {names}",
                hint=f"--set tuner.n={len(blocks)}",
            )
        _only(backbone, [p for _, parameters in blocks[self.options.n :] for p in parameters])


class Norm(Tuner):
    """Train the scales and shifts of normalisation layers."""

    def apply(self, backbone: Backbone) -> None:
        norms = [m for m in backbone.modules() if "norm" in type(m).__name__.lower()]
        parameters = [p for m in norms for p in m.parameters(recurse=False)]
        if not parameters:
            raise HubtlError(f"{backbone.info.name} has no normalisation layers to tune", hint="--tuner bias")
        _only(backbone, parameters)


class Bias(Tuner):
    """Train the biases (BitFit, arXiv:2106.10199)."""

    def apply(self, backbone: Backbone) -> None:
        parameters = [p for name, p in backbone.named_parameters() if name.rsplit(".", 1)[-1].endswith("bias")]
        if not parameters:
            raise HubtlError(f"{backbone.info.name} has no biases to tune", hint="--tuner norm")
        _only(backbone, parameters)


class LoRAOptions(TunerOptions):
    rank: int = Field(8, ge=1, description="rank of each adapted layer's update")
    alpha: float = Field(16.0, gt=0, description="scale of the update: alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the update")
    targets: list[str] | None = Field(None, description="names of layers to adapt; default: the backbone's projections")
    adapter: bool = Field(
        False, description="also save the update separately in adapter/, for PEFT to load on the base"
    )


class LoRA(Tuner):
    """Train low-rank updates of chosen layers (arXiv:2106.09685). Needs peft.

    The updates are merged into the layers before saving. With ``adapter`` they are also saved separately, in PEFT's
    format, together with the classifier and every BatchNorm, whose statistics follow the data. Raises HubtlError for a
    base that cannot be loaded again, such as random weights.
    """

    Options = LoRAOptions

    def apply(self, backbone: Backbone) -> None:
        ensure_torchvision()
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError as error:
            raise HubtlError(
                "the lora tuner needs peft, which is not installed", hint="pip install hubtl[lora]"
            ) from error
        if self.options.adapter and backbone.adapter_snippet("adapter", []) is None:
            raise HubtlError(
                f"an adapter is loaded onto its base, and {backbone.info.name} cannot be loaded again as training began "
                "with it: it is hubtl's own, has random weights, or positions for another image size",
                hint="leave tuner.adapter out: the merged model needs no base",
            )
        targets = self.options.targets or backbone.lora_targets()
        config = LoraConfig(
            r=self.options.rank,
            lora_alpha=self.options.alpha,
            lora_dropout=self.options.dropout,
            target_modules=targets,
        )
        try:
            inject_adapter_in_model(config, backbone)
        except ValueError as error:
            first = " ".join(str(error).split())[:200]
            raise HubtlError(f"LoRA cannot adapt {targets}: {first}", hint="--set tuner.targets=[qkv]") from error
        _only(backbone, [p for name, p in backbone.named_parameters() if "lora_" in name])

    def merge(self, backbone: Backbone) -> None:
        from peft.tuners.tuners_utils import BaseTunerLayer

        for name, module in list(backbone.named_modules()):
            if isinstance(module, BaseTunerLayer):
                module.merge()
                parent, _, leaf = name.rpartition(".")
                setattr(backbone.get_submodule(parent), leaf, module.get_base_layer())

    def export(self, folder: Path, backbone: Backbone, classifier: nn.Linear, names: Sequence[str]) -> bool:
        if not self.options.adapter:
            return False
        from peft import LoraConfig
        from peft.tuners.tuners_utils import BaseTunerLayer
        from safetensors.torch import save_file

        named = {name.removeprefix("model."): module for name, module in backbone.named_modules()}
        head = str(backbone.classifier_name)
        norms = [name for name, m in named.items() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        tensors = {
            name.removeprefix("model.").replace(".default.", "."): tensor
            for name, tensor in backbone.state_dict().items()
            if ".lora_" in name
        }
        for name, module in [(head, classifier), *((name, named[name]) for name in norms)]:
            tensors |= {f"{name}.{key}": tensor for key, tensor in module.state_dict().items()}
        folder.mkdir(exist_ok=True)
        whole = {f"base_model.model.{key}": tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        save_file(whole, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        LoraConfig(
            r=self.options.rank,
            lora_alpha=self.options.alpha,
            lora_dropout=self.options.dropout,
            target_modules=sorted(name for name, m in named.items() if isinstance(m, BaseTunerLayer)),
            modules_to_save=[head, *norms],
            base_model_name_or_path=backbone.info.base_model or backbone.info.weights or backbone.info.name,
            revision=backbone.info.revision,
            inference_mode=True,
        ).save_pretrained(folder)
        path = folder / "adapter_config.json"
        said = json.loads(path.read_text(encoding="utf-8"))
        said["target_modules"] = sorted(said["target_modules"])  # of a set: in another order in each process
        jsontext.save(path, said, sort_keys=True)
        backbone.save_preparation(folder)
        return True


def _only(backbone: Backbone, parameters: list[nn.Parameter]) -> None:
    chosen = set(parameters)
    for parameter in backbone.parameters():
        parameter.requires_grad_(parameter in chosen)
